#include "common/server/core/lockqueue.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "common/base/container.h"

/* Waiters that one call grants: all the claims of a session may end in one step. */
enum { GRANTS_AT_ONCE = 16 };

static bool
is_compatible(const struct lockqueue *q, enum protocol_mode mode)
{
	const struct claim *holder = TAILQ_FIRST(&q->holders);

	return holder == NULL ||
	    (mode == PROTOCOL_SHARED && holder->mode == PROTOCOL_SHARED && q->upgrade == NULL);
}

static bool
is_only_holder(const struct lockqueue *q, const struct claim *c)
{
	return TAILQ_FIRST(&q->holders) == c && TAILQ_NEXT(c, link) == NULL;
}

static void
grant(struct lockqueue *q, struct claim *c)
{
	c->state = CLAIM_HELD;
	c->grant = ++q->grants;
	c->since = *q->pollers.now;
	TAILQ_INSERT_TAIL(&q->holders, c, link);
}

/*
 * A claim begins to wait, or ends to. So q->waited is the sum of all waits that have ended, less
 * the moments when the other waits began; both wrap.
 */
static void
begin_wait(struct lockqueue *q)
{
	q->waiting++;
	q->waited -= *q->pollers.now;
}

static void
end_wait(struct lockqueue *q)
{
	q->waiting--;
	q->waited += *q->pollers.now;
}

static void
leave_waiters(struct lockqueue *q, struct claim *c)
{
	TAILQ_REMOVE(&q->waiters, c, link);
	end_wait(q);
}

static void
forget_upgrade(struct lockqueue *q)
{
	q->upgrade = NULL;
	end_wait(q);
}

static void
grant_upgrade(struct lockqueue *q, struct claim *c)
{
	c->mode = PROTOCOL_EXCLUSIVE;
	c->shared_grant = c->grant;
	c->grant = ++q->grants;
}

uint64_t
lockqueue_waited(const struct lockqueue *q)
{
	return q->waited + q->waiting * *q->pollers.now;
}

/* The first waiter, if the lock is to be granted to it now; else NULL. */
static struct claim *
next_to_grant(struct lockqueue *q)
{
	struct claim *next = TAILQ_FIRST(&q->waiters);

	if (next == NULL || !is_compatible(q, next->mode) ||
	    pollers_reserve(&q->pollers, next->arrival))
		return NULL;
	return next;
}

/* Grants the upgrade that waits, when its claim is the only holder. */
static void
advance_upgrade(struct lockqueue *q)
{
	struct claim *c = q->upgrade;

	if (!is_only_holder(q, c))
		return;
	forget_upgrade(q);
	grant_upgrade(q, c);
	q->granted(c);
}

static void go_on(struct timer *t);

/* Grants the next waiters: some, and the others with the timers that run next. */
static void
advance(struct lockqueue *q)
{
	struct claim *next;
	int granted = 0;

	if (q->rest.armed)
		timer_disarm(q->pollers.timers, &q->rest);
	if (q->upgrade != NULL) {
		advance_upgrade(q);
		return;
	}
	while ((next = next_to_grant(q)) != NULL) {
		if (granted++ == GRANTS_AT_ONCE) {
			timer_arm(q->pollers.timers, &q->rest, *q->pollers.now, go_on);
			break;
		}
		leave_waiters(q, next);
		grant(q, next);
		q->granted(next);
	}
}

static void
go_on(struct timer *t)
{
	advance(container_of(t, struct lockqueue, rest));
}

static void
reservation_ended(struct pollers *ps)
{
	advance(container_of(ps, struct lockqueue, pollers));
}

void
lockqueue_init(struct lockqueue *q, struct timer_queue *timers, const uint64_t *now,
    void (*granted)(struct claim *))
{
	*q = (struct lockqueue){ .granted = granted };
	TAILQ_INIT(&q->holders);
	TAILQ_INIT(&q->waiters);
	pollers_init(&q->pollers, timers, now, reservation_ended);
}

enum claim_state
lockqueue_claim(struct lockqueue *q, struct claim *c, enum protocol_mode mode, bool wait)
{
	assert(c->state == CLAIM_IDLE);
	c->mode = mode;
	c->arrival = ++q->arrivals;
	if (TAILQ_EMPTY(&q->waiters) && is_compatible(q, mode) &&
	    !pollers_reserve(&q->pollers, c->arrival)) {
		grant(q, c);
	} else if (wait) {
		c->state = CLAIM_WAITING;
		TAILQ_INSERT_TAIL(&q->waiters, c, link);
		begin_wait(q);
	}
	return c->state;
}

enum claim_state
lockqueue_poll(struct lockqueue *q, struct claim *c, struct poller *p, const void *owner)
{
	struct poller *placed = pollers_find(&q->pollers, p, owner);

	assert(c->state == CLAIM_IDLE);
	if (placed != NULL)
		p = placed;
	if (TAILQ_EMPTY(&q->holders) &&
	    (TAILQ_EMPTY(&q->waiters) || pollers_is_reserved_for(&q->pollers, p))) {
		pollers_granted(&q->pollers, p);
		c->mode = PROTOCOL_EXCLUSIVE;
		grant(q, c);
	} else {
		pollers_refused(&q->pollers, p, owner, ++q->arrivals);
	}
	return c->state;
}

void
lockqueue_leave(struct lockqueue *q, struct poller *p)
{
	if (pollers_leave(&q->pollers, p))
		advance(q);
}

void
lockqueue_drop(struct lockqueue *q, struct claim *c)
{
	if (c->state == CLAIM_IDLE)
		return;
	if (c->state == CLAIM_WAITING)
		leave_waiters(q, c);
	else
		TAILQ_REMOVE(&q->holders, c, link);
	if (q->upgrade == c)
		forget_upgrade(q);
	c->state = CLAIM_IDLE;
	advance(q);
}

int
lockqueue_upgrade(struct lockqueue *q, struct claim *c, bool wait)
{
	assert(c->state == CLAIM_HELD && c->mode == PROTOCOL_SHARED && q->upgrade != c);
	if (is_only_holder(q, c)) {
		grant_upgrade(q, c);
		return 0;
	}
	if (!wait)
		return -EAGAIN;
	if (q->upgrade != NULL)
		return -EDEADLK;
	q->upgrade = c;
	begin_wait(q);
	return 0;
}

bool
lockqueue_is_upgrading(const struct lockqueue *q, const struct claim *c)
{
	return q->upgrade == c;
}

void
lockqueue_take_back(struct lockqueue *q, struct claim *c)
{
	if (q->upgrade == c) {
		forget_upgrade(q);
	} else {
		assert(lockqueue_exclusive_holder(q) == c);
		c->mode = PROTOCOL_SHARED;
		c->grant = c->shared_grant;
	}
	advance(q);
}

void
lockqueue_share(struct lockqueue *q, struct claim *c)
{
	assert(lockqueue_exclusive_holder(q) == c);
	c->mode = PROTOCOL_SHARED;
	advance(q);
}

struct claim *
lockqueue_exclusive_holder(const struct lockqueue *q)
{
	struct claim *holder = TAILQ_FIRST(&q->holders);

	return holder != NULL && holder->mode == PROTOCOL_EXCLUSIVE ? holder : NULL;
}
