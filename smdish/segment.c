#include "smdish/segment.h"

#include <stdlib.h>

#include "common/base/container.h"
#include "common/server/core/account.h"

static void
finish(struct segment *s)
{
	region_fini(&s->region);
	free(s);
}

static void
run_wipe(struct task *t, const struct budget *b)
{
	struct segment *s = container_of(t, struct segment, wipe);
	struct memfile_charge charge = s->charge;

	while (region_wipe(&s->region))
		if (budget_is_spent(b)) {
			schedule_add(charge.tree->schedule, t->queue, t);
			return;
		}
	finish(s);
	memfile_charge_give(&charge);
}

void
segment_end(struct segment *s, struct memfile *f)
{
	marks_fini(&s->marks);
	parts_fini(&s->parts);
	if (s->region.base == NULL) {
		finish(s);
	} else if (s->region.committed <= REGION_EXTENT) {
		while (region_wipe(&s->region))
			continue;
		finish(s);
	} else {
		memfile_charge_take(f, &s->charge);
		s->wipe.run = run_wipe;
		schedule_add(f->tree->schedule, &f->account->queues[SCHEDULE_SESSIONS], &s->wipe);
	}
}
