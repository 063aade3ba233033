#include "common/server/core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/dispatch.h"
#include "common/server/core/reply.h"

enum { THROWN_AWAY_KEEP = 64 }; /* of a body that is thrown away: enough for its fixed fields */

int
session_create(struct session **out, struct server *v, const char *peer)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return -ENOMEM;
	s->peer = strdup(peer);
	if (s->peer == NULL) {
		free(s);
		return -ENOMEM;
	}
	s->server = v;
	s->version = PROTOCOL_VERSION_1;
	forks_parent_init(&s->forks);
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->held);
	TAILQ_INSERT_TAIL(&v->sessions, s, link);
	v->session_count++;
	*out = s;
	return 0;
}

void
session_set_owner(struct session *s, void *owner)
{
	s->owner = owner;
}

void *
session_owner(const struct session *s)
{
	return s->owner;
}

void
session_destroy(struct session *s)
{
	struct server *v;

	if (s == NULL)
		return;
	v = s->server;
	claims_close_table(s, false);
	forks_parent_fini(&v->forks, &s->forks);
	timer_disarm(&v->timers, &s->stall);
	if (s->is_ready)
		TAILQ_REMOVE(&v->ready, s, ready_link);
	TAILQ_REMOVE(&v->sessions, s, link);
	if (--v->session_count == 0)
		spare_fini(&v->spare);
	buf_fini(&s->body);
	buf_fini(&s->backlog);
	buf_fini(&s->out);
	free(s->peer);
	free(s);
}

static bool
is_between_frames(const struct session *s)
{
	return s->header_have == 0;
}

/* A frame that has begun is finished, whatever waits to be sent. */
static bool
may_read(const struct session *s)
{
	return !s->is_over && (!is_between_frames(s) || buf_size(&s->out) < SESSION_OUTPUT_HIGH);
}

/*
 * How large a body is kept: what the segments need that this session has locked. So a peer can make
 * the server keep at most what it was allowed to have there anyway.
 */
static uint32_t
body_limit(const struct session *s)
{
	uint32_t limit = PROTOCOL_SMALL_BODY, needs;
	const struct desc *d;

	TAILQ_FOREACH(d, &s->held, link) {
		needs = d->claim.mode == PROTOCOL_EXCLUSIVE ? protocol_largest_body(d->file->size) :
							      0;
		if (needs > limit)
			limit = needs;
	}
	return limit;
}

/* The header is here: decide what happens to the body. */
static void
begin_body(struct session *s)
{
	struct frame f = frame_get(s->header);
	uint32_t largest = protocol_largest_body((uint32_t)s->server->config.segment_limit);
	bool like_tls = !s->has_begun && s->header[0] == 0x16 && s->header[1] == 3;

	s->body_size = f.body_size;
	s->body_have = 0;
	s->body_keep = f.body_size;
	if (like_tls) {
		reply_end_session(s, "it speaks TLS and this address does not");
	} else if (f.body_size > largest) {
		reply_status(s, s->version == PROTOCOL_VERSION_2 ? frame_tag(f.code) : 0,
		    -EMSGSIZE);
		reply_end_session(s, "a body of %lu bytes, above the largest of %lu",
		    (unsigned long)f.body_size, (unsigned long)largest);
	} else if (f.body_size > body_limit(s)) {
		s->body_keep = THROWN_AWAY_KEEP;
	}
}

static void
execute(struct session *s, const uint8_t *body)
{
	struct frame f = frame_get(s->header);
	struct wire_reader r = wire_reader(body, s->body_keep);

	s->header_have = 0;
	dispatch_request(s, f.code, r, s->body_size - s->body_keep);
	s->has_begun = true;
	if (s->write_failed)
		buf_fini(&s->out);
}

static size_t
take_header(struct session *s, const uint8_t *data, size_t size)
{
	size_t n = FRAME_HEADER_SIZE - s->header_have;

	if (n > size)
		n = size;
	memcpy(s->header + s->header_have, data, n);
	s->header_have += (uint32_t)n;
	if (s->header_have == FRAME_HEADER_SIZE)
		begin_body(s);
	return n;
}

static size_t
take_body(struct session *s, const uint8_t *data, size_t size)
{
	uint64_t n = s->body_size - s->body_have, keep;

	/* All of it is here already: no copy. */
	if (s->body_have == 0 && size >= n && s->body_keep == n) {
		execute(s, data);
		return (size_t)n;
	}
	if (n > size)
		n = size;
	keep = s->body_have < s->body_keep ? s->body_keep - s->body_have : 0;
	if (keep > n)
		keep = n;
	/* Room for the whole body at once: it is bounded, and nothing is copied twice. */
	if (s->body_have == 0)
		spare_get(&s->server->spare, &s->body, s->body_keep);
	if (s->body_have == 0 && buf_reserve(&s->body, s->body_keep) == NULL) {
		reply_end_session(s, "no memory for a body of %lu bytes",
		    (unsigned long)s->body_size);
		return size;
	}
	if (buf_append(&s->body, data, keep) != 0)
		abort(); /* reserved above */
	s->body_have += n;
	if (s->body_have == s->body_size) {
		execute(s, buf_data(&s->body));
		buf_consume(&s->body, buf_size(&s->body));
		spare_put(&s->server->spare, &s->body);
	}
	return (size_t)n;
}

/* Takes what may be taken of size bytes; returns how many that were. */
static size_t
take(struct session *s, const uint8_t *data, size_t size)
{
	size_t used = 0;

	while (used < size && may_read(s)) {
		if (s->header_have < FRAME_HEADER_SIZE)
			used += take_header(s, data + used, size - used);
		/* A frame without a body is complete with its header. */
		if (s->header_have == FRAME_HEADER_SIZE && !s->is_over)
			used += take_body(s, data + used, size - used);
	}
	return used;
}

static void
stall_fired(struct timer *t)
{
	struct session *s = container_of(t, struct session, stall);
	struct server *v = s->server;

	/* It may still be writing what another holder would then read. */
	if (v->store->spares_holders && !TAILQ_EMPTY(&s->held)) {
		timer_arm(&v->timers, t, clock_after_ms(v->now, SESSION_STALL_MS), stall_fired);
		return;
	}
	reply_end_session(s, "%lu bytes of a frame, then %d s of silence",
	    (unsigned long)(s->header_have + s->body_have), SESSION_STALL_MS / 1000);
}

static void
watch_stall(struct session *s)
{
	struct server *v = s->server;

	if (is_between_frames(s) || s->is_over)
		timer_disarm(&v->timers, &s->stall);
	else
		timer_arm(&v->timers, &s->stall, clock_after_ms(v->now, SESSION_STALL_MS),
		    stall_fired);
}

/* Goes on with what came while the peer's replies were unsent. */
static void
take_backlog(struct session *s)
{
	size_t used;

	if (buf_size(&s->backlog) == 0)
		return;
	used = take(s, buf_data(&s->backlog), buf_size(&s->backlog));
	buf_consume(&s->backlog, used);
	buf_trim(&s->backlog, 0);
	watch_stall(s);
}

void
session_feed(struct session *s, const void *data, size_t size)
{
	size_t used = 0;

	if (s->is_over)
		return;
	if (buf_size(&s->backlog) == 0)
		used = take(s, data, size);
	watch_stall(s);
	if (!s->is_over && buf_append(&s->backlog, (const uint8_t *)data + used, size - used) != 0)
		reply_end_session(s, "no memory for its requests");
}

bool
session_wants_input(const struct session *s)
{
	return may_read(s) && buf_size(&s->backlog) == 0;
}

size_t
session_output(const struct session *s, const uint8_t **data)
{
	*data = buf_data(&s->out);
	return buf_size(&s->out);
}

void
session_sent(struct session *s, size_t size)
{
	buf_consume(&s->out, size);
	spare_put(&s->server->spare, &s->out);
	claims_deliver(s, SESSION_OUTPUT_HIGH);
	take_backlog(s);
	if (s->write_failed)
		buf_fini(&s->out);
}

void
session_write_failed(struct session *s)
{
	s->write_failed = true;
	buf_fini(&s->out);
	session_sent(s, 0);
}

bool
session_is_over(const struct session *s)
{
	return s->is_over;
}
