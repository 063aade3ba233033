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
#include "common/wire/protocol.h"

/* Bytes that are kept of a body that is discarded: enough for its fixed fields. */
enum { DISCARDED_KEEP = 64 };

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
	return s->header_received == 0;
}

/* A frame that has begun is read to its end, however many replies are unsent. */
static bool
can_read(const struct session *s)
{
	return !s->is_over && (!is_between_frames(s) || buf_size(&s->out) < PROTOCOL_UNSENT_MOST);
}

/*
 * The largest body that is kept: as large as a release of the largest segment that this session has
 * locked can be. So a peer can make the server keep no more than it may store there anyway.
 */
static uint32_t
body_limit(const struct session *s)
{
	uint32_t limit = PROTOCOL_SMALL_BODY_MOST, needed;
	const struct desc *d;

	TAILQ_FOREACH(d, &s->held, link) {
		if (d->claim.mode != PROTOCOL_EXCLUSIVE)
			continue;
		needed = protocol_largest_body(d->file->size);
		if (needed > limit)
			limit = needed;
	}
	return limit;
}

/* The header is complete: refuses the frame, or decides how much of its body is kept. */
static void
check_header(struct session *s)
{
	struct frame f = frame_get(s->header);
	uint32_t largest = protocol_largest_body((uint32_t)s->server->config.segment_limit);
	bool is_tls = !s->has_begun && s->header[0] == 0x16 && s->header[1] == 3;

	s->body_size = f.body_size;
	s->body_received = 0;
	s->body_kept = f.body_size;
	if (is_tls) {
		reply_end_session(s, "a TLS handshake on a plaintext address");
	} else if (f.body_size > largest) {
		reply_status(s, s->version == PROTOCOL_VERSION_2 ? frame_tag(f.code) : 0,
		    -EMSGSIZE);
		reply_end_session(s, "a body of %lu bytes, above the largest of %lu",
		    (unsigned long)f.body_size, (unsigned long)largest);
	} else if (f.body_size > body_limit(s)) {
		s->body_kept = DISCARDED_KEEP;
	}
}

static void
execute(struct session *s, const uint8_t *body)
{
	struct frame f = frame_get(s->header);
	struct wire_reader r = wire_reader(body, s->body_kept);

	s->header_received = 0;
	dispatch_request(s, f.code, r, s->body_size - s->body_kept);
	s->has_begun = true;
	if (s->write_failed)
		buf_fini(&s->out);
}

static size_t
read_header(struct session *s, const uint8_t *data, size_t size)
{
	size_t n = FRAME_HEADER_SIZE - s->header_received;

	if (n > size)
		n = size;
	memcpy(s->header + s->header_received, data, n);
	s->header_received += (uint32_t)n;
	if (s->header_received == FRAME_HEADER_SIZE)
		check_header(s);
	return n;
}

static size_t
read_body(struct session *s, const uint8_t *data, size_t size)
{
	uint64_t n = s->body_size - s->body_received, keep;

	/* The whole body is in data: execute it there, without a copy. */
	if (s->body_received == 0 && size >= n && s->body_kept == n) {
		execute(s, data);
		return (size_t)n;
	}
	if (n > size)
		n = size;
	keep = s->body_received < s->body_kept ? s->body_kept - s->body_received : 0;
	if (keep > n)
		keep = n;
	/* Reserve room for the whole body, which is bounded, so that nothing is copied twice. */
	if (s->body_received == 0)
		spare_get(&s->server->spare, &s->body, s->body_kept);
	if (s->body_received == 0 && buf_reserve(&s->body, s->body_kept) == NULL) {
		reply_end_session(s, "no memory for a body of %lu bytes",
		    (unsigned long)s->body_size);
		return size;
	}
	if (buf_append(&s->body, data, keep) != 0)
		abort(); /* reserved above */
	s->body_received += n;
	if (s->body_received == s->body_size) {
		execute(s, buf_data(&s->body));
		buf_consume(&s->body, buf_size(&s->body));
		spare_put(&s->server->spare, &s->body);
	}
	return (size_t)n;
}

/*
 * Reads frames from size bytes and executes them, as long as can_read(). Returns how many bytes it
 * used.
 */
static size_t
read_requests(struct session *s, const uint8_t *data, size_t size)
{
	size_t used = 0;

	while (used < size && can_read(s)) {
		if (s->header_received < FRAME_HEADER_SIZE)
			used += read_header(s, data + used, size - used);
		/* A frame without a body is complete with its header. */
		if (s->header_received == FRAME_HEADER_SIZE && !s->is_over)
			used += read_body(s, data + used, size - used);
	}
	return used;
}

static void
stall_expired(struct timer *t)
{
	struct session *s = container_of(t, struct session, stall);
	struct server *v = s->server;

	/* The holder may still be writing to the host what the next holder would read. */
	if (v->store->keeps_stalled_holders && !TAILQ_EMPTY(&s->held)) {
		timer_arm(&v->timers, t, clock_after_ms(v->now, PROTOCOL_STALL_MS), stall_expired);
		return;
	}
	reply_end_session(s, "%lu bytes of a frame, then %d s of silence",
	    (unsigned long)(s->header_received + s->body_received), PROTOCOL_STALL_MS / 1000);
}

static void
update_stall_timer(struct session *s)
{
	struct server *v = s->server;

	if (is_between_frames(s) || s->is_over)
		timer_disarm(&v->timers, &s->stall);
	else
		timer_arm(&v->timers, &s->stall, clock_after_ms(v->now, PROTOCOL_STALL_MS),
		    stall_expired);
}

/* Reads what came while too many replies were unsent. */
static void
read_backlog(struct session *s)
{
	size_t used;

	if (buf_size(&s->backlog) == 0)
		return;
	used = read_requests(s, buf_data(&s->backlog), buf_size(&s->backlog));
	buf_consume(&s->backlog, used);
	buf_trim(&s->backlog, 0);
	update_stall_timer(s);
}

void
session_feed(struct session *s, const void *data, size_t size)
{
	size_t used = 0;

	if (s->is_over)
		return;
	if (buf_size(&s->backlog) == 0)
		used = read_requests(s, data, size);
	update_stall_timer(s);
	if (!s->is_over && buf_append(&s->backlog, (const uint8_t *)data + used, size - used) != 0)
		reply_end_session(s, "no memory for its requests");
}

bool
session_wants_input(const struct session *s)
{
	return can_read(s) && buf_size(&s->backlog) == 0;
}

size_t
session_output(const struct session *s, const uint8_t **data)
{
	*data = buf_data(&s->out);
	return buf_size(&s->out);
}

void
session_resume(struct session *s)
{
	claims_deliver(s, PROTOCOL_UNSENT_MOST);
	read_backlog(s);
	if (s->write_failed)
		buf_fini(&s->out);
}

void
session_sent(struct session *s, size_t size)
{
	buf_consume(&s->out, size);
	spare_put(&s->server->spare, &s->out);
	session_resume(s);
}

void
session_write_failed(struct session *s)
{
	s->write_failed = true;
	buf_fini(&s->out);
	session_resume(s);
}

bool
session_is_over(const struct session *s)
{
	return s->is_over;
}
