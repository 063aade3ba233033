/*
 * leases: the time for which a descriptor may hold its lock, with -t (PROTOCOL 7.2).
 *
 * The timer of a descriptor that holds its lock is the end of its lease. A lease begins when the
 * last byte of its grant is sent, and at the latest PROTOCOL_LEASE_DELIVERY_MS after the grant.
 * Neither an upgrade nor a release that keeps the lock begins another one, or a holder could have
 * the lock for ever by turns of both. A server without leases arms no timer here.
 */
#ifndef COMMON_SERVER_CORE_LEASES_H
#define COMMON_SERVER_CORE_LEASES_H

#include "common/server/core/core.h"

static inline bool
leases_are_on(const struct desc *d)
{
	return d->session->server->config.lease_ms != 0;
}

/*
 * Leases are on, and d was granted its lock. Calls expired with its timer when the lease has ended:
 * with what follows, or at the latest after the delay above.
 */
void leases_begin(struct desc *d, void (*expired)(struct timer *));

/*
 * Leases are on, and the reply of d is begun: the lease begins again when it is sent. Of an upgrade
 * only if the reply before was not sent either: the lease has begun else.
 */
void leases_await_sending(struct desc *d);

/* The bytes of replies up to s->sent are sent: begins the leases of their grants. */
void leases_sent(struct session *s);

/* d keeps its lock after a release: a lease that has ended meanwhile ends now. */
void leases_keep(struct desc *d);

/* The lease of d, which would begin when its reply is sent, does not. */
void leases_forget_unsent(struct desc *d);

/* The claim of d ends, in any state: disarms its timer. */
static inline void
leases_end(struct desc *d)
{
	if (d->timer.armed)
		timer_disarm(&d->session->server->timers, &d->timer);
	d->expiry.is_due = false;
	if (d->has_unsent_lease)
		leases_forget_unsent(d);
}

#endif
