#include "common/server/core/claimlists.h"

#include "common/server/core/core.h"

void
claimlists_init(struct session *s)
{
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->granted);
	TAILQ_INIT(&s->held);
}

void
claimlists_begin_wait(struct desc *d)
{
	TAILQ_INSERT_TAIL(&d->session->pending, d, link);
	d->session->waiting_count++;
}

void
claimlists_end_wait(struct desc *d)
{
	TAILQ_REMOVE(&d->session->pending, d, link);
	d->session->waiting_count--;
}

/* The list of its session that d, which holds its lock, is in. */
static struct desc_list *
list_of_holder(const struct desc *d)
{
	return d->is_undelivered ? &d->session->granted : &d->session->held;
}

void
claimlists_begin_hold(struct desc *d)
{
	TAILQ_INSERT_TAIL(list_of_holder(d), d, link);
	d->session->held_count++;
	d->session->server->grants++;
}

void
claimlists_deliver(struct desc *d)
{
	TAILQ_REMOVE(&d->session->granted, d, link);
	d->is_undelivered = false;
	TAILQ_INSERT_TAIL(&d->session->held, d, link);
}

void
claimlists_begin_upgrade(struct desc *d)
{
	d->session->waiting_count++;
}

void
claimlists_end_upgrade(struct desc *d)
{
	d->session->waiting_count--;
}

void
claimlists_upgraded(struct desc *d)
{
	TAILQ_REMOVE(&d->session->held, d, link);
	d->is_undelivered = true;
	TAILQ_INSERT_TAIL(&d->session->granted, d, link);
	d->session->server->grants++;
}

void
claimlists_leave(struct desc *d)
{
	if (d->claim.state == CLAIM_WAITING) {
		claimlists_end_wait(d);
		return;
	}
	TAILQ_REMOVE(list_of_holder(d), d, link);
	d->session->held_count--;
}
