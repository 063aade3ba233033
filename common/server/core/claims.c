#include "common/server/core/claims.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/server/core/core.h"
#include "common/server/core/reply.h"
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

/* True when d is in the pending list of its session, false when it is in the held one. */
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
	timer_disarm(&s->server->timers, &d->timer);
	if (is_pending(d))
		TAILQ_REMOVE(&s->pending, d, link);
	else
		TAILQ_REMOVE(&s->held, d, link);
	d->is_undelivered = false;
	lockqueue_drop(&d->file->lock, &d->claim);
	memfile_lock_changed(d->file, event);
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

void
claims_close(struct desc *d, bool answer)
{
	if (answer && is_pending(d))
		claims_cancel(d, -ECANCELED);
	else
		claims_drop(d);
	fdtable_close(&d->session->table, d);
}

void
claims_close_table(struct session *s, bool answer)
{
	struct desc *d;

	while ((d = fdtable_next(&s->table, 0)) != NULL)
		claims_close(d, answer);
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

	log_warning("%s: held the lock of %s for more than %lu ms and lost it", s->peer,
	    log_escape(name, d->file->name, d->file->name_size),
	    (unsigned long)s->server->config.lease_ms);
	if (d->is_undelivered)
		claims_cancel(d, -ESTALE);
	else
		claims_drop(d);
}

/* Grants. */

static void
arm_lease(struct desc *d)
{
	struct server *v = d->session->server;

	if (v->config.lease_ms != 0)
		timer_arm(&v->timers, &d->timer, clock_after_ms(v->now, v->config.lease_ms),
		    lease_expired);
}

void
claims_granted(struct claim *c)
{
	struct desc *d = desc_of_claim(c);

	d->is_undelivered = true;
	timer_disarm(&d->session->server->timers, &d->timer);
	arm_lease(d);
	reply_mark_ready(d->session);
}

/*
 * Writes the reply of a grant of version 2. A grant without memory for it is dropped and answered
 * ENOMEM.
 */
static void
deliver(struct desc *d)
{
	struct session *s = d->session;
	const struct store_ops *store = s->server->store;
	const struct memfile *f = d->file;
	struct wire_writer w;
	size_t size = 8 + 8;

	if (d->is_undelivered) {
		d->is_undelivered = false;
		TAILQ_REMOVE(&s->pending, d, link);
	}
	TAILQ_INSERT_TAIL(&s->held, d, link);
	d->has_segment = f->size > 0;
	if (d->has_segment)
		size += store->grant_size(f, d->since);
	if (reply_begin(s, d->tag, size, &w) != 0) {
		claims_cancel(d, -ENOMEM);
		return;
	}
	wire_put_u64(&w, d->claim.grant);
	wire_put_u64(&w, f->blocks.newest);
	if (d->has_segment)
		store->grant_put(f, d->since, &w);
	fdtable_add_version(d, f->blocks.newest);
}

void
claims_deliver(struct session *s, size_t output_limit)
{
	struct desc *d, *next;

	TAILQ_FOREACH_SAFE(d, &s->pending, link, next) {
		if (buf_size(&s->out) >= output_limit)
			return;
		if (d->is_undelivered && !s->write_failed)
			deliver(d);
	}
}

int
claims_acquire(struct desc *d, uint16_t tag, enum protocol_mode mode, uint32_t timeout,
    uint64_t since)
{
	struct session *s = d->session;
	struct server *v = s->server;

	d->tag = tag;
	d->since = fdtable_has_version(d, since) ? since : 0;
	switch (lockqueue_claim(&d->file->lock, &d->claim, mode, timeout != PROTOCOL_TIMEOUT_TRY)) {
	case CLAIM_HELD:
		arm_lease(d);
		memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
		deliver(d);
		return 0;
	case CLAIM_WAITING:
		memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
		TAILQ_INSERT_TAIL(&s->pending, d, link);
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
	if (lockqueue_claim(&d->file->lock, &d->claim, PROTOCOL_EXCLUSIVE, false) != CLAIM_HELD)
		return -EAGAIN;
	TAILQ_INSERT_TAIL(&d->session->held, d, link);
	arm_lease(d);
	memfile_lock_changed(d->file, STORE_EVENT_CLAIMED);
	return 0;
}

/* Finding a claim. */

struct desc *
claims_find_holder(const struct session *s, const struct memfile *f)
{
	struct claim *c = lockqueue_exclusive_holder(&f->lock);
	struct desc *d = c == NULL ? NULL : desc_of_claim(c);

	return d != NULL && d->session == s ? d : NULL;
}

struct desc *
claims_find_pending(const struct session *s, uint32_t tag)
{
	struct desc *d;

	TAILQ_FOREACH(d, &s->pending, link)
		if (d->tag == tag)
			return d;
	return NULL;
}
