#include "common/server/core/leases.h"

#include "common/base/clock.h"
#include "common/server/core/core.h"

void
leases_forget_unsent(struct desc *d)
{
	TAILQ_REMOVE(&d->session->leases, d, lease_link);
	d->has_unsent_lease = false;
}

void
leases_begin(struct desc *d, void (*expired)(struct timer *))
{
	struct server *v = d->session->server;

	timer_arm(&v->timers, &d->timer,
	    clock_after_ms(v->now, PROTOCOL_LEASE_DELIVERY_MS + (uint64_t)v->config.lease_ms),
	    expired);
}

void
leases_await_sending(struct desc *d)
{
	if (d->is_upgrade && !d->has_unsent_lease)
		return;
	if (d->has_unsent_lease)
		TAILQ_REMOVE(&d->session->leases, d, lease_link);
	d->has_unsent_lease = true;
	TAILQ_INSERT_TAIL(&d->session->leases, d, lease_link);
}

void
leases_sent(struct session *s)
{
	struct server *v = s->server;
	struct desc *d;

	while ((d = TAILQ_FIRST(&s->leases)) != NULL && s->sending.desc != d &&
	    d->sent_at <= s->sent) {
		leases_forget_unsent(d);
		d->expiry.is_due = false;
		timer_arm(&v->timers, &d->timer, clock_after_ms(v->now, v->config.lease_ms),
		    d->timer.fire);
	}
}

void
leases_keep(struct desc *d)
{
	struct server *v = d->session->server;

	if (leases_are_on(d) && !d->timer.armed)
		timer_arm(&v->timers, &d->timer, v->now, d->timer.fire);
}
