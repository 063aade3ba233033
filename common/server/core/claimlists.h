/*
 * claimlists: the lists of a session in which the descriptors with a claim are, and their counts.
 *
 * A descriptor whose claim is not idle is in exactly one of them: pending while its ACQUIRE waits,
 * granted while it holds the lock and is_undelivered, held once its reply is begun. A holder whose
 * upgrade waits stays in held, and counts as one that waits as well. The functions are short, and
 * every section calls three of them: they are inline.
 */
#ifndef COMMON_SERVER_CORE_CLAIMLISTS_H
#define COMMON_SERVER_CORE_CLAIMLISTS_H

#include "common/server/core/core.h"

/* No claims. */
static inline void
claimlists_init(struct session *s)
{
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->granted);
	TAILQ_INIT(&s->held);
}

/* The ACQUIRE of d, which is in no list, waits. */
static inline void
claimlists_begin_wait(struct desc *d)
{
	TAILQ_INSERT_TAIL(&d->session->pending, d, link);
	d->session->waiting_count++;
}

/* It waits no more: d is in no list. */
static inline void
claimlists_end_wait(struct desc *d)
{
	TAILQ_REMOVE(&d->session->pending, d, link);
	d->session->waiting_count--;
}

/* The list of its session that d, which holds its lock, is in. */
static inline struct desc_list *
claimlists_of_holder(const struct desc *d)
{
	return d->is_undelivered ? &d->session->granted : &d->session->held;
}

/* d, which is in no list, was granted the lock. Its is_undelivered is set. */
static inline void
claimlists_begin_hold(struct desc *d)
{
	TAILQ_INSERT_TAIL(claimlists_of_holder(d), d, link);
	d->session->held_count++;
	d->session->server->grants++;
}

/* The reply of d, which was undelivered, is begun; or its upgrade, undelivered, is taken back. */
static inline void
claimlists_deliver(struct desc *d)
{
	TAILQ_REMOVE(&d->session->granted, d, link);
	d->is_undelivered = false;
	TAILQ_INSERT_TAIL(&d->session->held, d, link);
}

/* The upgrade of d, which is in held, begins to wait, or ends to. */
static inline void
claimlists_begin_upgrade(struct desc *d)
{
	d->session->waiting_count++;
}

static inline void
claimlists_end_upgrade(struct desc *d)
{
	d->session->waiting_count--;
}

/* The upgrade of d, which is in held and does not wait, was granted: d is undelivered. */
static inline void
claimlists_upgraded(struct desc *d)
{
	TAILQ_REMOVE(&d->session->held, d, link);
	d->is_undelivered = true;
	TAILQ_INSERT_TAIL(&d->session->granted, d, link);
	d->session->server->grants++;
}

/* The claim of d, in any list, ends: d is in none. To be called before its state changes. */
static inline void
claimlists_leave(struct desc *d)
{
	if (d->claim.state == CLAIM_WAITING) {
		claimlists_end_wait(d);
		return;
	}
	TAILQ_REMOVE(claimlists_of_holder(d), d, link);
	d->session->held_count--;
}

#endif
