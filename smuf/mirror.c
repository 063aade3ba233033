#include "smuf/mirror.h"

#include "common/base/clock.h"
#include "common/base/container.h"
#include "smuf/storefile.h"

static void
write_tickets(struct storefile *s)
{
	const struct lockqueue *q = &s->file->lock;
	uint32_t served = (uint32_t)q->grants, next = served + q->waiting;

	/* A holder's ticket is still being served. */
	if (!TAILQ_EMPTY(&q->holders))
		served--;
	storefile_write_lock(s, next, served);
}

static void write_if_changed(struct timer *t);

static void
arm(struct storefile *s)
{
	const struct memfile_tree *t = s->file->tree;

	timer_arm(t->timers, &s->timer, clock_after_ms(*t->now, MIRROR_MS), write_if_changed);
}

/* Arms the timer again after each write, so that a change of a lock in use need not arm it. */
static void
write_if_changed(struct timer *t)
{
	struct storefile *s = container_of(t, struct storefile, timer);

	if (!s->has_changed)
		return;
	s->has_changed = false;
	write_tickets(s);
	arm(s);
}

void
mirror_lock_changed(struct storefile *s)
{
	s->has_changed = true;
	if (!s->timer.armed)
		arm(s);
}
