#include "common/server/core/claims.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/server/core/claimlists.h"
#include "common/server/core/core.h"
#include "common/server/core/grace.h"
#include "common/server/core/leases.h"
#include "common/server/core/reply.h"
#include "common/server/core/sending.h"
#include "common/wire/wire.h"

static struct desc *
desc_of_claim(struct claim *c)
{
	return container_of(c, struct desc, claim);
}

static struct desc *
desc_of_timer(struct timer *t)
{
	return container_of(t, struct desc, timer);
}

static struct desc *
desc_of_upgrade_timer(struct timer *t)
{
	return container_of(t, struct desc, upgrade_timer);
}

static bool
is_upgrading(const struct desc *d)
{
	return d->is_upgrade && lockqueue_is_upgrading(&d->file->lock, &d->claim);
}

/* True when the ACQUIRE of d, or its upgrade, has had no reply. */
static bool
is_pending(const struct desc *d)
{
	return d->claim.state == CLAIM_WAITING || d->is_undelivered || is_upgrading(d);
}

/* The ends of a claim. */

/* The upgrade of d waits no more. */
static void
end_upgrade_wait(struct desc *d)
{
	timer_disarm(&d->session->server->timers, &d->upgrade_timer);
	claimlists_end_upgrade(d);
}

static void
drop(struct desc *d, enum store_event event)
{
	struct session *s = d->session;

	if (d->claim.state == CLAIM_IDLE)
		return;
	leases_end(d);
	if (is_upgrading(d))
		end_upgrade_wait(d);
	claimlists_leave(d);
	d->is_undelivered = d->is_upgrade = false;
	tags_remove(&s->tags, d);
	lockqueue_drop(&d->file->lock, &d->claim);
	memfile_lock_changed(d->file, event);
	sending_claim_ended(d);
}

void
claims_drop(struct desc *d)
{
	drop(d, STORE_EVENT_DROPPED);
}

void
claims_unlock(struct desc *d)
{
	drop(d, STORE_EVENT_UNLOCKED);
}

/* Ends the claim of d, and answers its pending ACQUIRE with error. */
static void
cancel(struct desc *d, int error)
{
	uint16_t tag = d->tag;

	claims_drop(d);
	reply_status(d->session, tag, error);
}

void
claims_end(struct desc *d)
{
	if (is_pending(d))
		cancel(d, -ECANCELED);
	else
		drop(d, STORE_EVENT_DROPPED);
}

/* The upgrade of d, whose reply is not begun, is no more: d holds its lock shared as before. */
static void
take_back(struct desc *d)
{
	if (is_upgrading(d))
		end_upgrade_wait(d);
	else if (d->is_undelivered)
		claimlists_deliver(d);
	d->is_upgrade = false;
	tags_remove(&d->session->tags, d);
	lockqueue_take_back(&d->file->lock, &d->claim);
	memfile_lock_changed(d->file, STORE_EVENT_DROPPED);
}

/* Ends the ACQUIRE of d, whose reply is not begun, and answers it with error. */
static void
refuse(struct desc *d, int error)
{
	uint16_t tag = d->tag;

	if (!d->is_upgrade) {
		cancel(d, error);
		return;
	}
	take_back(d);
	reply_status(d->session, tag, error);
}

void
claims_share(struct desc *d)
{
	lockqueue_share(&d->file->lock, &d->claim);
	memfile_lock_changed(d->file, STORE_EVENT_DROPPED);
	leases_keep(d);
}

static void
acquire_timed_out(struct timer *t)
{
	cancel(desc_of_timer(t), -ETIMEDOUT);
}

static void
upgrade_timed_out(struct timer *t)
{
	refuse(desc_of_upgrade_timer(t), -ETIMEDOUT);
}

static void
lease_expired(struct timer *t)
{
	struct desc *d = desc_of_timer(t);
	struct session *s = d->session;
	char name[LOG_ESCAPED_SIZE];

	/*
	 * Its release came in time. A refused UNLOCK leaves the lock held, with another lease; of a
	 * release that keeps the lock, leases_keep() ends the lease.
	 */
	if (s->publishing.desc == d) {
		if (s->publishing.flags & PROTOCOL_RELEASE_KEEP)
			return;
		timer_arm(&s->server->timers, t,
		    clock_after_ms(s->server->now, s->server->config.lease_ms), lease_expired);
		return;
	}
	if (!grace_is_over(s, t, &d->expiry))
		return;
	account_warn(s->account, s->server->now,
	    "%s: held the lock of %s for more than %lu ms and lost it", s->peer,
	    log_escape(name, d->file->name, d->file->name_size),
	    (unsigned long)s->server->config.lease_ms);
	if (is_pending(d))
		cancel(d, -ESTALE);
	else
		claims_drop(d);
}

/* Grants. */

void
claims_granted(struct claim *c)
{
	struct desc *d = desc_of_claim(c);
	struct session *s = d->session;

	reply_mark_ready(s);
	if (d->is_upgrade) {
		end_upgrade_wait(d);
		claimlists_upgraded(d);
		return;
	}
	claimlists_end_wait(d);
	d->is_undelivered = true;
	claimlists_begin_hold(d);
	timer_disarm(&s->server->timers, &d->timer);
	if (leases_are_on(d))
		leases_begin(d, lease_expired);
}

/* Writes the reply of a grant of version 2, whose head is grant and version, or begins to. */
static int
begin_reply(struct desc *d, bool has_segment)
{
	struct session *s = d->session;
	uint8_t head[8 + 8];
	struct wire_writer w = wire_writer(head, sizeof head);
	int error;

	wire_put_u64(&w, d->claim.grant);
	wire_put_u64(&w, d->file->blocks.newest);
	if (has_segment)
		return sending_begin_grant(d, head, sizeof head);
	error = reply_begin_long(s, d->tag, head, sizeof head, 0, 0);
	d->sent_at = s->sent + buf_size(&s->out);
	return error;
}

/* Delivers a grant of version 2; one without memory for its reply is refused: ENOMEM. */
static void
deliver(struct desc *d)
{
	bool has_segment = d->file->size > 0;

	claimlists_deliver(d);
	if (begin_reply(d, has_segment) != 0) {
		refuse(d, -ENOMEM);
		return;
	}
	d->has_segment = has_segment;
	if (leases_are_on(d))
		leases_await_sending(d);
	fdtable_add_version(d, d->file->blocks.newest);
}

bool
claims_can_deliver(const struct session *s, size_t output_limit)
{
	return !TAILQ_EMPTY(&s->granted) && !s->is_over && !s->write_failed &&
	    !sending_is_active(s) && buf_size(&s->out) < output_limit;
}

void
claims_deliver(struct session *s, size_t output_limit)
{
	while (claims_can_deliver(s, output_limit))
		deliver(TAILQ_FIRST(&s->granted));
}

int
claims_acquire(struct desc *d, uint16_t tag, enum protocol_mode mode, uint32_t timeout,
    uint64_t since)
{
	struct session *s = d->session;
	struct server *v = s->server;

	d->since = fdtable_has_version(d, since) ? since : 0;
	switch (lockqueue_claim(&d->file->lock, &d->claim, mode, timeout != PROTOCOL_TIMEOUT_TRY)) {
	case CLAIM_HELD:
		tags_add(&s->tags, d, tag);
		if (leases_are_on(d))
			leases_begin(d, lease_expired);
		memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
		/* Earlier grants of this session may have to be delivered first. */
		d->is_undelivered = true;
		claimlists_begin_hold(d);
		claims_deliver(s, PROTOCOL_UNSENT_MOST);
		return 0;
	case CLAIM_WAITING:
		tags_add(&s->tags, d, tag);
		memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
		claimlists_begin_wait(d);
		if (timeout != PROTOCOL_TIMEOUT_NEVER)
			timer_arm(&v->timers, &d->timer, clock_after_ms(v->now, timeout),
			    acquire_timed_out);
		return 0;
	default:
		return -EAGAIN;
	}
}

/* The upgrade of d waits. */
static void
begin_upgrade_wait(struct desc *d, uint32_t timeout)
{
	struct server *v = d->session->server;

	claimlists_begin_upgrade(d);
	if (timeout != PROTOCOL_TIMEOUT_NEVER)
		timer_arm(&v->timers, &d->upgrade_timer, clock_after_ms(v->now, timeout),
		    upgrade_timed_out);
}

int
claims_upgrade(struct desc *d, uint16_t tag, uint32_t timeout, uint64_t since)
{
	struct session *s = d->session;
	int error;

	if (d->is_upgrade && is_pending(d))
		return -EDEADLK;
	if (d->claim.state != CLAIM_HELD || d->is_undelivered || d->claim.mode != PROTOCOL_SHARED)
		return -EINVAL;
	error = lockqueue_upgrade(&d->file->lock, &d->claim, timeout != PROTOCOL_TIMEOUT_TRY);
	if (error != 0)
		return error;
	d->since = fdtable_has_version(d, since) ? since : 0;
	d->is_upgrade = true;
	tags_remove(&s->tags, d);
	tags_add(&s->tags, d, tag);
	memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
	if (is_upgrading(d)) {
		begin_upgrade_wait(d, timeout);
		return 0;
	}
	claimlists_upgraded(d);
	claims_deliver(s, PROTOCOL_UNSENT_MOST);
	return 0;
}

int
claims_lock(struct desc *d)
{
	if (lockqueue_poll(&d->file->lock, &d->claim, &d->poller, d->session) != CLAIM_HELD)
		return -EAGAIN;
	claimlists_begin_hold(d);
	if (leases_are_on(d))
		leases_begin(d, lease_expired);
	memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
	return 0;
}

void
claims_lock_replied(struct desc *d)
{
	if (d->has_unsent_lease || !leases_are_on(d))
		return;
	if (!sending_is_active(d->session))
		d->sent_at = d->session->sent + buf_size(&d->session->out);
	leases_await_sending(d);
}

/* Finding a claim. */

struct desc *
claims_find_holder(const struct session *s, const struct memfile *f)
{
	struct claim *c = lockqueue_exclusive_holder(&f->lock);
	struct desc *d = c == NULL ? NULL : desc_of_claim(c);

	return d != NULL && d->session == s ? d : NULL;
}

const struct desc *
claims_first_holder(const struct memfile *f)
{
	struct claim *c = TAILQ_FIRST(&f->lock.holders);

	return c == NULL ? NULL : desc_of_claim(c);
}

const struct desc *
claims_holder_for(const struct session *asks, const struct memfile *f)
{
	struct claim *c = TAILQ_FIRST(&f->lock.holders);
	struct claim *next = c == NULL ? NULL : TAILQ_NEXT(c, link);

	if (next != NULL && desc_of_claim(c)->session == asks)
		c = next;
	return c == NULL ? NULL : desc_of_claim(c);
}

int
claims_free_tag(struct session *s, uint16_t tag)
{
	struct desc *d = tags_find(&s->tags, tag);

	if (d == NULL)
		return 0;
	if (is_pending(d))
		return -EPROTO;
	tags_remove(&s->tags, d);
	return 0;
}

void
claims_cancel_tag(struct session *s, uint32_t tag)
{
	struct desc *d = tags_find(&s->tags, tag);

	if (d == NULL)
		return;
	if (is_pending(d)) {
		refuse(d, -ECANCELED);
	} else if (d->is_upgrade) {
		tags_remove(&s->tags, d);
		if (d->claim.mode == PROTOCOL_EXCLUSIVE)
			claims_share(d);
	} else {
		claims_drop(d);
	}
}
