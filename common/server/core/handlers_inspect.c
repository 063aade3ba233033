#include "common/server/core/handlers_inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"
#include "common/wire/inspect.h"

enum { HEAD_SIZE = 8 + 4 }; /* of the reply: next and count */

/* A page of records while it is written. */
struct page {
	struct wire_writer w;
	uint32_t count;
	uint64_t last; /* the key of the last record */
	bool is_full;  /* there are more records than fit */
};

static uint64_t
ms_since(const struct server *v, uint64_t then)
{
	return (v->now - then) / CLOCK_MS;
}

static uint32_t
at_most_u32(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static struct inspect_string
string(const char *s)
{
	return (struct inspect_string){ s, (uint16_t)strlen(s) };
}

static void
put_server(struct page *p, struct server *v)
{
	const struct accounts *as = &v->accounts;
	struct inspect_server i = {
		.version = PROTOCOL_VERSION_2,
		.uptime_ms = ms_since(v, v->started),
		.sessions = v->sessions.count,
		.handshakes = (uint32_t)as->used[ACCOUNT_HANDSHAKES],
		.files = v->files.count,
		.segments = as->used[ACCOUNT_SEGMENTS],
		.memory = as->used[ACCOUNT_MEMORY],
		.segments_limit = as->limit[ACCOUNT_SEGMENTS],
		.memory_limit = as->limit[ACCOUNT_MEMORY],
		.requests = v->requests,
		.grants = v->grants,
		.lines_lost = log_lost(),
		.longest_turn_us = v->longest_turn_us,
		.recent_turn_us = v->recent_turn_us,
	};

	memcpy(i.instance_id, v->instance_id, sizeof i.instance_id);
	inspect_put_server(&p->w, &i);
	v->recent_turn_us = 0;
	p->count = 1;
}

static void
put_file(struct wire_writer *w, const struct memfile *f)
{
	const struct desc *holder = claims_first_holder(f);
	struct inspect_file i = {
		.key = f->serial,
		.bytes_granted = f->bytes_granted,
		.bytes_released = f->bytes_released,
		.waited_ms = lockqueue_waited(&f->lock) / CLOCK_MS,
		.name = { f->name, (uint16_t)f->name_size },
	};

	memfile_stat(f, &i.stat);
	if (holder != NULL) {
		i.holder = holder->session->key;
		i.held_ms = at_most_u32(ms_since(holder->session->server, holder->claim.since));
	}
	inspect_put_file(w, &i);
}

static void
put_session(struct wire_writer *w, const struct session *s)
{
	struct inspect_session i = {
		.key = s->key,
		.age_ms = ms_since(s->server, s->created),
		.version = (uint8_t)s->version,
		.descriptors = s->table.count,
		.held = s->held_count,
		.waiting = s->waiting_count,
		.requests = s->requests,
		.bytes_in = s->bytes_in,
		.bytes_out = s->sent,
		.memory = s->charged,
		.unsent = at_most_u32(buf_size(&s->out)),
		.longest_turn_us = s->longest_turn_us,
		.peer = string(s->account->name),
		.address = string(s->peer),
	};

	inspect_put_session(w, &i);
}

/* The record behind before was written to the page, unless it did not fit. True when it fitted. */
static bool
add_record(struct page *p, const struct wire_writer *before, uint64_t key)
{
	if (p->w.failed) {
		p->w = *before;
		p->is_full = true;
		return false;
	}
	p->count++;
	p->last = key;
	return true;
}

static void
put_files(struct page *p, struct server *v, uint64_t after)
{
	struct wire_writer before;
	struct memfile *f = memfile_after(&v->files, after);

	for (; f != NULL; f = memfile_after(&v->files, f->serial)) {
		before = p->w;
		put_file(&p->w, f);
		if (!add_record(p, &before, f->serial))
			break;
	}
}

static void
put_sessions(struct page *p, struct server *v, uint64_t after)
{
	struct wire_writer before;
	struct session *s = sessions_after(&v->sessions, after);

	for (; s != NULL; s = sessions_after(&v->sessions, s->key)) {
		before = p->w;
		put_session(&p->w, s);
		if (!add_record(p, &before, s->key))
			break;
	}
}

/* Has the driver load its files again. Returns 0, or -EINVAL where there is nothing to load. */
static int
put_reload(struct page *p, struct session *s)
{
	struct server *v = s->server;
	struct inspect_reload l;

	if (v->reload == NULL)
		return -EINVAL;
	v->reload(v->reload_arg, s->peer, &l);
	inspect_put_reload(&p->w, &l);
	p->count = 1;
	return 0;
}

/* Fills the page. Returns 0 or -EINVAL. */
static int
fill(struct page *p, struct session *s, uint8_t what, uint64_t after)
{
	struct server *v = s->server;

	switch (what) {
	case PROTOCOL_INSPECT_SERVER:
		put_server(p, v);
		return 0;
	case PROTOCOL_INSPECT_FILES:
		put_files(p, v, after);
		return 0;
	case PROTOCOL_INSPECT_SESSIONS:
		put_sessions(p, v, after);
		return 0;
	case PROTOCOL_INSPECT_RELOAD:
		return put_reload(p, s);
	default:
		return -EINVAL;
	}
}

/* Replies with the records of the page, of which the first is at records. */
static int
reply(struct session *s, uint16_t tag, const struct page *p, const uint8_t *records)
{
	size_t size = (size_t)(p->w.next - records);
	struct wire_writer w;
	int error = reply_begin(s, tag, HEAD_SIZE + size, &w);

	if (error != 0)
		return error;
	wire_put_u64(&w, p->is_full ? p->last : 0);
	wire_put_u32(&w, p->count);
	wire_put_bytes(&w, records, size);
	return 0;
}

int
handlers_inspect(struct session *s, struct request *q)
{
	uint8_t what = wire_get_u8(&q->body), *records;
	uint64_t after = wire_get_u64(&q->body);
	size_t room = PROTOCOL_SMALL_BODY_MOST - HEAD_SIZE;
	struct page p = { .count = 0 };
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	records = malloc(room);
	if (records == NULL)
		return -ENOMEM;
	p.w = wire_writer(records, room);
	error = fill(&p, s, what, after);
	if (error == 0)
		error = reply(s, q->tag, &p, records);
	free(records);
	return error;
}
