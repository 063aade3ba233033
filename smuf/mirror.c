#include "smuf/mirror.h"

#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "smuf/memdir.h"
#include "smuf/storefile.h"

static void
write_tickets(struct storefile *s)
{
	const struct lockqueue *q = &s->file->lock;
	uint32_t served = (uint32_t)q->grants, out = served + q->waiting;

	/* The ticket of who holds it is still being served. */
	if (!TAILQ_EMPTY(&q->holders))
		served--;
	if (memdir_write_lock(s->dir, storefile_name(s), s->file->life, out, served) != 0)
		storefile_tell_lost(s);
}

static void fire(struct timer *t);

static void
arm(struct storefile *s)
{
	const struct memfile_tree *t = s->file->tree;

	timer_arm(t->timers, &s->timer, clock_after_ms(*t->now, MIRROR_MS), fire);
}

/* A lock that is in use goes on being mirrored without being armed each time it moves. */
static void
fire(struct timer *t)
{
	struct storefile *s = container_of(t, struct storefile, timer);

	if (!s->has_moved)
		return;
	s->has_moved = false;
	write_tickets(s);
	arm(s);
}

void
mirror_lock_changed(struct storefile *s)
{
	s->has_moved = true;
	if (!s->timer.armed)
		arm(s);
}
