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

	malloc_trim(0);
	t->peak = t->used;
}

void
trim_note(struct trim *t, uint64_t used, uint64_t now)
{
	t->used = used;
	if (used > t->peak)
		t->peak = used;
	if (t->peak - used >= TRIM_STEP)
		trim(&t->timer);
	else if (t->peak - used >= TRIM_LEAST && !t->timer.armed)
		timer_arm(t->timers, &t->timer, clock_after_ms(now, TRIM_MS), trim);
}
