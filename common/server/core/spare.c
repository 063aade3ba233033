#include "common/server/core/spare.h"

#include <malloc.h>
#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/container.h"

void
spare_init(struct spare *p, struct timer_queue *timers, const uint64_t *now)
{
	*p = (struct spare){ .timers = timers, .now = now };
}

void
spare_fini(struct spare *p)
{
	bool is_large = p->buf.capacity > SPARE_SMALL;

	timer_disarm(p->timers, &p->expiry);
	buf_fini(&p->buf);
	/* It may lie in the middle of the heap, which free(3) does not give back to the system. */
	if (is_large)
		malloc_trim(0);
}

void
spare_get(struct spare *p, struct buf *b, size_t size)
{
	if (size <= SPARE_SMALL || size > SPARE_MOST || b->capacity >= size || buf_size(b) > 0)
		return;
	buf_fini(b);
	*b = p->buf;
	p->buf = (struct buf){ 0 };
	timer_disarm(p->timers, &p->expiry);
}

static void
expire(struct timer *t)
{
	spare_fini(container_of(t, struct spare, expiry));
}

void
spare_put(struct spare *p, struct buf *b)
{
	struct buf smaller;

	if (b->capacity <= SPARE_SMALL || buf_size(b) > 0)
		return;
	if (b->capacity > p->buf.capacity) {
		smaller = p->buf;
		p->buf = *b;
		*b = smaller;
	}
	buf_fini(b);
	timer_arm(p->timers, &p->expiry, clock_after_ms(*p->now, SPARE_MS), expire);
}
