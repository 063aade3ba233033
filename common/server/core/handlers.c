#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/server/core/core.h"
#include "common/server/core/reply.h"
#include "common/wire/status.h"

/* Descriptors and their claims. */

struct desc *
handlers_desc_of_claim(struct claim *c)
{
	return container_of(c, struct desc, claim);
}

struct desc *
handlers_desc_of_timer(struct timer *t)
{
	return container_of(t, struct desc, timer);
}

void
handlers_lock_changed(struct memfile *f, enum store_event event)
{
	const struct store_ops *store = f->tree->store;

	if (store->lock_changed != NULL)
		store->lock_changed(f, event);
}

static void
drop_claim(struct desc *d, enum store_event event)
{
	struct session *s = d->session;

	if (d->claim.state == CLAIM_IDLE)
		return;
	timer_disarm(&s->server->timers, &d->timer);
	if (d->claim.state == CLAIM_WAITING || d->is_undelivered)
		TAILQ_REMOVE(&s->pending, d, link);
	else
		TAILQ_REMOVE(&s->held, d, link);
	d->is_undelivered = false;
	lockqueue_drop(&d->file->lock, &d->claim);
	handlers_lock_changed(d->file, event);
}

void
handlers_drop_claim(struct desc *d)
{
	drop_claim(d, STORE_EVENT_DROPPED);
}

void
handlers_unlock_claim(struct desc *d)
{
	drop_claim(d, STORE_EVENT_UNLOCKED);
}

void
handlers_cancel(struct desc *d, int error)
{
	uint16_t tag = d->tag;

	handlers_drop_claim(d);
	reply_status(d->session, tag, error);
}

static void
lease_ended(struct timer *t)
{
	struct desc *d = handlers_desc_of_timer(t);
	struct session *s = d->session;
	char name[LOG_ESCAPED_SIZE];

	log_warning("%s: held the lock of %s for more than %lu ms and lost it", s->peer,
	    log_escape(name, d->file->name, d->file->name_size),
	    (unsigned long)s->server->config.lease_ms);
	if (d->is_undelivered)
		handlers_cancel(d, -ESTALE);
	else
		handlers_drop_claim(d);
}

void
handlers_arm_lease(struct desc *d)
{
	struct server *v = d->session->server;

	if (v->config.lease_ms != 0)
		timer_arm(&v->timers, &d->timer, clock_after_ms(v->now, v->config.lease_ms),
		    lease_ended);
}

/*
 * Somebody's release granted this one. The reply is written when its session is looked at, not here:
 * that session's replies may be too many already.
 */
void
handlers_claim_granted(struct claim *c)
{
	struct desc *d = handlers_desc_of_claim(c);

	d->is_undelivered = true;
	timer_disarm(&d->session->server->timers, &d->timer);
	handlers_arm_lease(d);
	reply_mark_ready(d->session);
}

static void
close_desc(struct session *s, struct desc *d, bool answer)
{
	if (answer && (d->claim.state == CLAIM_WAITING || d->is_undelivered))
		handlers_cancel(d, -ECANCELED);
	else
		handlers_drop_claim(d);
	fdtable_close(&s->table, d);
}

void
handlers_close_table(struct session *s, bool answer)
{
	struct desc *d;

	while ((d = fdtable_next(&s->table, 0)) != NULL)
		close_desc(s, d, answer);
	fdtable_fini(&s->table);
}

/* The operations that both versions have. */

static int
reply_empty(struct session *s, const struct request *q)
{
	reply_status(s, q->tag, 0);
	return 0;
}

bool
handlers_is_whole(const struct request *q)
{
	return q->missing == 0 && wire_is_done(&q->body);
}

static int
op_new_fdtable(struct session *s, struct request *q)
{
	if (!handlers_is_whole(q))
		return -EPROTO;
	handlers_close_table(s, true);
	s->has_table = true;
	return reply_empty(s, q);
}

static int
op_fork(struct session *s, struct request *q)
{
	struct wire_writer w;
	uint64_t ident;
	int error;

	if (!handlers_is_whole(q))
		return -EPROTO;
	error = forks_create(&s->server->forks, &s->forks, &s->table, s->version, &ident);
	if (error != 0)
		return error;
	error = reply_begin(s, q->tag, sizeof ident, &w);
	if (error == 0)
		wire_put_u64(&w, ident);
	return error;
}

static int
op_child_attach(struct session *s, struct request *q)
{
	uint64_t ident = wire_get_u64(&q->body);
	struct fdtable table;
	struct desc *d;
	uint32_t fd;
	int error;

	if (!handlers_is_whole(q))
		return -EPROTO;
	error = forks_take(&s->server->forks, ident, s->version, &table);
	if (error != 0)
		return error;
	handlers_close_table(s, true);
	for (fd = 0; (d = fdtable_next(&table, fd)) != NULL; fd = d->fd + 1)
		d->session = s;
	s->table = table;
	s->has_table = true;
	return reply_empty(s, q);
}

static int
op_open(struct session *s, struct request *q)
{
	const struct store_ops *store = s->server->store;
	uint32_t size = wire_get_u32(&q->body);
	struct wire_writer w;
	struct memfile *file;
	struct desc *d;
	const char *name;
	int error;

	if (q->body.failed || size != q->body.left + q->missing)
		return -EPROTO;
	if (size >= store->name_limit)
		return -ENAMETOOLONG;
	name = (const char *)wire_get_bytes(&q->body, size);
	if (size == 0 || memchr(name, '\0', size) != NULL)
		return -EINVAL;
	error = store->check_name(name, size);
	if (error != 0)
		return error;
	error = memfile_get(&s->server->files, name, size, s->version, &file);
	if (error != 0)
		return error;
	error = fdtable_open(&s->table, file, s, &d);
	if (error != 0) {
		memfile_put(file);
		return error;
	}
	error = reply_begin(s, q->tag, 4, &w);
	if (error != 0) {
		fdtable_close(&s->table, d);
		return error;
	}
	wire_put_u32(&w, d->fd);
	return 0;
}

static int
op_close(struct session *s, struct request *q)
{
	uint32_t fd = wire_get_u32(&q->body);
	struct desc *d;
	int error;

	if (!handlers_is_whole(q))
		return -EPROTO;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return error;
	close_desc(s, d, true);
	return reply_empty(s, q);
}

static int
op_mmap(struct session *s, struct request *q)
{
	const struct server_config *config = &s->server->config;
	uint32_t fd = wire_get_u32(&q->body);
	uint32_t size = wire_get_u32(&q->body);
	struct desc *d;
	int error;

	if (!handlers_is_whole(q))
		return -EPROTO;
	error = fdtable_find(&s->table, fd, &d);
	if (error == 0)
		error = memfile_map(d->file, size, config->segment_limit, config->total_limit);
	return error != 0 ? error : reply_empty(s, q);
}

/* What each operation needs, and what does it. */
static const struct {
	int (*run)(struct session *, struct request *);
	bool needs_table;
} table[OP_COUNT] = {
	[OP_NEW_FDTABLE] = { op_new_fdtable, false },
	[OP_FORK] = { op_fork, true },
	[OP_CHILD_ATTACH] = { op_child_attach, false },
	[OP_OPEN] = { op_open, true },
	[OP_CLOSE] = { op_close, true },
	[OP_LOCK] = { handlers_v1_lock, true },
	[OP_UNLOCK] = { handlers_v1_unlock, true },
	[OP_MMAP] = { op_mmap, true },
	[OP_HELLO] = { handlers_v2_hello, false },
	[OP_ACQUIRE] = { handlers_v2_acquire, true },
	[OP_RELEASE] = { handlers_v2_release, true },
	[OP_CANCEL] = { handlers_v2_cancel, false },
	[OP_STAT] = { handlers_v2_stat, true },
	[OP_LIST] = { handlers_v2_list, false },
};

void
handlers_execute(struct session *s, uint32_t code, struct wire_reader body, uint64_t missing)
{
	struct request q = { .op = code, .body = body, .missing = missing };
	int error;

	if (s->version == PROTOCOL_VERSION_2) {
		q.op = frame_untagged(code);
		q.tag = frame_tag(code);
	}
	if (!protocol_has_op(q.op, s->version))
		error = -ENOSYS;
	else if (table[q.op].needs_table && !s->has_table)
		error = -EPERM;
	else
		error = table[q.op].run(s, &q);
	if (error == 0)
		return;
	log_debug("%s: %s (%lu): %s", s->peer, protocol_op_name(q.op), (unsigned long)q.op,
	    status_name(status_to_wire(error)));
	reply_status(s, q.tag, error);
}
