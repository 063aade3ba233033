#include "common/server/trim.h"

#include <malloc.h>

#include "common/base/clock.h"
#include "common/base/container.h"

void
trim_init(struct trim *t, struct timer_queue *timers)
{
	*t = (struct trim){ .timers = timers };
}

void
trim_fini(struct trim *t)
{
	timer_disarm(t->timers, &t->timer);
}

static void
trim(struct timer *timer)
{
	struct trim *t = container_of(timer, struct trim, timer);
	uint64_t begun = clock_now(), ended;

	malloc_trim(0);
	ended = clock_now();
	t->peak = t->used;
	t->rest_until = ended + (ended - begun) * TRIM_REST;
}

void
trim_note(struct trim *t, uint64_t used, uint64_t now)
{
	uint64_t soon = clock_after_ms(now, TRIM_MS);

	t->used = used;
	if (used > t->peak)
		t->peak = used;
	if (t->peak - used >= TRIM_LEAST && !t->timer.armed)
		timer_arm(t->timers, &t->timer, soon > t->rest_until ? soon : t->rest_until, trim);
}
