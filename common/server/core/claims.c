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

/* True when the ACQUIRE of d has had no reply. */
static bool
is_pending(const struct desc *d)
{
	return d->claim.state == CLAIM_WAITING || d->is_undelivered;
}

/* The ends of a claim. */

static void
drop(struct desc *d, enum store_event event)
{
	struct session *s = d->session;

	if (d->claim.state == CLAIM_IDLE)
		return;
	leases_end(d);
	claimlists_leave(d);
	d->is_undelivered = false;
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

void
claims_cancel(struct desc *d, int error)
{
	uint16_t tag = d->tag;

	claims_drop(d);
	reply_status(d->session, tag, error);
}

/* The first descriptor of the list but d, or NULL. */
static struct desc *
first_other(const struct desc_list *list, const struct desc *d)
{
	struct desc *first = TAILQ_FIRST(list);

	return first == NULL || first != d ? first : TAILQ_NEXT(first, link);
}

/* The end of a claim that waits may grant others that wait, which changes the lists. */
void
claims_drop_others(struct session *s, const struct desc *d)
{
	struct desc *i;

	while ((i = first_other(&s->pending, d)) != NULL ||
	    (i = first_other(&s->granted, d)) != NULL || (i = first_other(&s->held, d)) != NULL)
		claims_drop(i);
}

/* Ends the claim of d, whose descriptor will be closed. */
static void
end_with_desc(struct desc *d, bool answer)
{
	if (answer && is_pending(d))
		claims_cancel(d, -ECANCELED);
	else
		claims_drop(d);
	lockqueue_leave(&d->file->lock, &d->poller);
}

void
claims_close(struct desc *d, bool answer)
{
	end_with_desc(d, answer);
	fdtable_close(&d->session->table, d);
}

void
claims_close_table(struct session *s, bool answer)
{
	struct desc *d;
	uint32_t fd;

	for (fd = 0; (d = fdtable_next(&s->table, fd)) != NULL; fd = d->fd + 1)
		end_with_desc(d, answer);
	fdtable_fini(&s->table);
}

static void
acquire_timed_out(struct timer *t)
{
	claims_cancel(desc_of_timer(t), -ETIMEDOUT);
}

static void
lease_expired(struct timer *t)
{
	struct desc *d = desc_of_timer(t);
	struct session *s = d->session;
	char name[LOG_ESCAPED_SIZE];

	/* Its release came in time. A refused UNLOCK leaves the lock held, with another lease. */
	if (s->publishing.desc == d) {
		timer_arm(&s->server->timers, t,
		    clock_after_ms(s->server->now, s->server->config.lease_ms), lease_expired);
		return;
	}
	if (!grace_is_over(s, t, &d->expiry_turn))
		return;
	account_warn(s->account, s->server->now,
	    "%s: held the lock of %s for more than %lu ms and lost it", s->peer,
	    log_escape(name, d->file->name, d->file->name_size),
	    (unsigned long)s->server->config.lease_ms);
	if (d->is_undelivered)
		claims_cancel(d, -ESTALE);
	else
		claims_drop(d);
}

/* Grants. */

void
claims_granted(struct claim *c)
{
	struct desc *d = desc_of_claim(c);
	struct session *s = d->session;

	claimlists_end_wait(d);
	d->is_undelivered = true;
	claimlists_begin_hold(d);
	timer_disarm(&s->server->timers, &d->timer);
	leases_begin(d, lease_expired);
	reply_mark_ready(s);
}

/* Writes the reply of a grant of version 2, whose head is grant and version, or begins to. */
static int
begin_reply(struct desc *d)
{
	struct session *s = d->session;
	uint8_t head[8 + 8];
	struct wire_writer w = wire_writer(head, sizeof head);
	int error;

	wire_put_u64(&w, d->claim.grant);
	wire_put_u64(&w, d->file->blocks.newest);
	if (d->has_segment)
		return sending_begin_grant(d, head, sizeof head);
	error = reply_begin_long(s, d->tag, head, sizeof head, 0, 0);
	d->sent_at = s->sent + buf_size(&s->out);
	return error;
}

/* Delivers a grant of version 2; one without memory for its reply is dropped: ENOMEM. */
static void
deliver(struct desc *d)
{
	claimlists_deliver(d);
	d->has_segment = d->file->size > 0;
	if (begin_reply(d) != 0) {
		claims_cancel(d, -ENOMEM);
		return;
	}
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
		leases_begin(d, lease_expired);
		memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
		/* Earlier grants of this session may still have to be delivered. */
		d->is_undelivered = true;
		claimlists_begin_hold(d);
		claims_deliver(s, SIZE_MAX);
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

int
claims_lock(struct desc *d)
{
	if (lockqueue_poll(&d->file->lock, &d->claim, &d->poller, d->session) != CLAIM_HELD)
		return -EAGAIN;
	claimlists_begin_hold(d);
	leases_begin(d, lease_expired);
	memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
	return 0;
}

void
claims_lock_replied(struct desc *d)
{
	if (d->has_unsent_lease || d->session->server->config.lease_ms == 0)
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
	if (is_pending(d))
		claims_cancel(d, -ECANCELED);
	else
		claims_drop(d);
}
