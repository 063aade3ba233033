#include "common/server/core/lockqueue.h"

#include <assert.h>
#include <stddef.h>

void
lockqueue_init(struct lockqueue *q, void (*granted)(struct claim *))
{
	*q = (struct lockqueue){ .granted = granted };
	TAILQ_INIT(&q->holders);
	TAILQ_INIT(&q->waiters);
}

static bool
is_compatible(const struct lockqueue *q, enum protocol_mode mode)
{
	const struct claim *holder = TAILQ_FIRST(&q->holders);

	return holder == NULL || (mode == PROTOCOL_SHARED && holder->mode == PROTOCOL_SHARED);
}

static void
grant(struct lockqueue *q, struct claim *c)
{
	c->state = CLAIM_HELD;
	c->grant = ++q->grants;
	TAILQ_INSERT_TAIL(&q->holders, c, link);
}

enum claim_state
lockqueue_claim(struct lockqueue *q, struct claim *c, enum protocol_mode mode, bool wait)
{
	assert(c->state == CLAIM_IDLE);
	c->mode = mode;
	if (TAILQ_EMPTY(&q->waiters) && is_compatible(q, mode)) {
		grant(q, c);
	} else if (wait) {
		c->state = CLAIM_WAITING;
		q->waiting++;
		TAILQ_INSERT_TAIL(&q->waiters, c, link);
	}
	return c->state;
}

void
lockqueue_drop(struct lockqueue *q, struct claim *c)
{
	struct claim *next;

	if (c->state == CLAIM_IDLE)
		return;
	if (c->state == CLAIM_WAITING) {
		TAILQ_REMOVE(&q->waiters, c, link);
		q->waiting--;
	} else {
		TAILQ_REMOVE(&q->holders, c, link);
	}
	c->state = CLAIM_IDLE;
	while ((next = TAILQ_FIRST(&q->waiters)) != NULL && is_compatible(q, next->mode)) {
		TAILQ_REMOVE(&q->waiters, next, link);
		q->waiting--;
		grant(q, next);
		q->granted(next);
	}
}

struct claim *
lockqueue_exclusive_holder(const struct lockqueue *q)
{
	struct claim *holder = TAILQ_FIRST(&q->holders);

	return holder != NULL && holder->mode == PROTOCOL_EXCLUSIVE ? holder : NULL;
}
