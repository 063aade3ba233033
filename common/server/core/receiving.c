#include "common/server/core/receiving.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/buffers.h"
#include "common/server/core/core.h"
#include "common/server/core/dispatch.h"
#include "common/server/core/grace.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"
#include "common/server/core/sending.h"
#include "common/wire/protocol.h"

enum {
	DISCARDED_KEEP = 64, /* of a body that is discarded: enough for its fixed fields */
	IN_PLACE_MOST = 16 * SIZE_KIB, /* a body that is executed where it was read, if it can be */
	MEMORY_RETRY_MS = 10,
	READ_MOST = 64 * SIZE_KIB, /* bytes at once */
	READ_WITHOUT_ROOM = 1024   /* without room for READ_MOST in the account */
};

static bool
is_between_frames(const struct session *s)
{
	return s->header_received == 0;
}

/* True when a request may be executed: its replies follow the ones before, which are few. */
static bool
can_execute(const struct session *s)
{
	return !s->is_over && !s->memory.armed && !sending_is_active(s) &&
	    buf_size(&s->out) < PROTOCOL_UNSENT_MOST;
}

/* A frame that has begun is received to its end, however many replies are unsent. */
bool
receiving_can_read(const struct session *s)
{
	if (s->is_over || s->is_complete || s->memory.armed)
		return false;
	return !is_between_frames(s) || can_execute(s);
}

size_t
receiving_most(const struct session *s)
{
	uint64_t most = READ_WITHOUT_ROOM;

	if (account_has(s->account, ACCOUNT_MEMORY, READ_MOST))
		return READ_MOST;
	/* The body's room was taken when its first byte came. */
	if (s->body_received > 0 && !is_between_frames(s))
		most += s->body_size - s->body_received;
	return most < READ_MOST ? (size_t)most : READ_MOST;
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
	} else if (f.body_size > PROTOCOL_SMALL_BODY_MOST && f.body_size > body_limit(s)) {
		s->body_kept = DISCARDED_KEEP;
		s->missing_error = -EINVAL;
	}
}

/* Executes the complete request, or goes on with it. Returns false when it has not ended. */
static bool
execute(struct session *s, const uint8_t *body, const struct budget *b)
{
	struct request q = { .body = wire_reader(body, s->body_kept),
		.missing = s->body_size - s->body_kept,
		.missing_error = s->missing_error,
		.is_late = s->wait_deadline != 0 && s->server->now >= s->wait_deadline,
		.is_in_place = !s->is_complete,
		.budget = b };

	if (!dispatch_request(s, frame_get(s->header).code, &q)) {
		s->is_waiting = !publishing_is_active(s);
		if (s->wait_deadline == 0)
			s->wait_deadline = clock_after_ms(s->server->now, PROTOCOL_STALL_MS);
		return false;
	}
	s->wait_deadline = s->memory_deadline = 0;
	s->header_received = 0;
	s->has_begun = true;
	s->requests++;
	s->server->requests++;
	if (s->write_failed)
		buf_consume(&s->out, buf_size(&s->out));
	return true;
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
	if (!grace_is_over(s, t, &s->stall_grace))
		return;
	reply_end_session(s, "%lu bytes of a frame, then %d s of silence",
	    (unsigned long)(s->header_received + s->body_received), PROTOCOL_STALL_MS / 1000);
}

/* Bytes have come: a frame that is still incomplete has its time again. */
void
receiving_update_stall(struct session *s)
{
	struct server *v = s->server;

	s->stall_grace.is_due = false;
	if (is_between_frames(s) || s->is_complete || s->memory.armed || s->is_over)
		timer_disarm(&v->timers, &s->stall);
	else
		timer_arm(&v->timers, &s->stall, clock_after_ms(v->now, PROTOCOL_STALL_MS),
		    stall_expired);
}

static void retry_memory(struct timer *t);

/* There is no memory for the body, or for a reply: reads no more, and tries again for a while. */
static void
await_memory(struct session *s)
{
	struct server *v = s->server;

	if (s->memory_deadline == 0)
		s->memory_deadline = clock_after_ms(v->now, PROTOCOL_STALL_MS);
	timer_arm(&v->timers, &s->memory, clock_after_ms(v->now, MEMORY_RETRY_MS), retry_memory);
}

/*
 * Takes what the session waits for. Room for the reply comes first: it must be left when the body
 * takes the rest of the account.
 */
static bool
take_memory(struct session *s)
{
	if (buffers_take_reply_room(s) != 0)
		return false;
	return s->is_complete || buffers_grow_body(s, s->body_kept) == 0;
}

/*
 * There was no memory for a long time: discards the body, or ends the session. A request whose body
 * is discarded has no more time to wait for room for its reply.
 */
static void
give_up(struct session *s)
{
	if (s->is_complete) {
		reply_end_session(s, "no memory for a reply");
	} else if (s->body_kept > DISCARDED_KEEP) {
		s->body_kept = DISCARDED_KEEP;
		s->missing_error = -ENOMEM;
	} else {
		reply_end_session(s, "no memory for a request");
	}
}

static void
retry_memory(struct timer *t)
{
	struct session *s = container_of(t, struct session, memory);

	if (take_memory(s))
		s->memory_deadline = 0;
	else if (s->server->now < s->memory_deadline)
		await_memory(s);
	else
		give_up(s);
	receiving_update_stall(s);
	reply_mark_ready(s);
}

/* Executes the request whose body has been kept in s->body, when its reply has room. */
static void
execute_kept(struct session *s, const struct budget *b)
{
	int error = publishing_is_active(s) ? 0 : buffers_take_reply_room(s);

	if (error == -EAGAIN) {
		await_memory(s);
		return;
	}
	if (error != 0) {
		reply_end_session(s, "no memory for a reply");
		return;
	}
	if (!execute(s, buf_data(&s->body), b))
		return;
	s->is_complete = false;
	buffers_drop_body(s);
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

/* Keeps n bytes of the body at data, or discards those that are not kept. */
static void
keep(struct session *s, const uint8_t *data, size_t n)
{
	uint64_t kept = s->body_received < s->body_kept ? s->body_kept - s->body_received : 0;

	if (buffers_append_anyway(s, &s->body, data, kept < n ? (size_t)kept : n) != 0)
		reply_end_session(s, "no memory for a body of %lu bytes",
		    (unsigned long)s->body_size);
	s->body_received += n;
	s->is_complete = s->body_received == s->body_size;
}

/* Executes a request that is whole in data, or keeps it if it does not end. */
static void
execute_in_place(struct session *s, const uint8_t *data)
{
	if (!execute(s, data, &BUDGET_UNLIMITED))
		keep(s, data, (size_t)s->body_size);
}

/* Reads from the body at data; executes the request when it is complete. Returns bytes used. */
static size_t
read_body(struct session *s, const uint8_t *data, size_t size, const struct budget *b)
{
	uint64_t n = s->body_size - s->body_received;

	if (s->body_received == 0 && size >= n && s->body_kept == n && n <= IN_PLACE_MOST &&
	    can_execute(s) && buffers_take_reply_room(s) == 0) {
		execute_in_place(s, data);
		return (size_t)n;
	}
	/* Reserve room for the whole body, which is bounded, so that nothing is copied twice. */
	if (s->body_received == 0 && s->body.capacity < s->body_kept && !take_memory(s)) {
		await_memory(s);
		return 0;
	}
	if (n > size)
		n = size;
	keep(s, data, (size_t)n);
	if (s->is_complete && can_execute(s))
		execute_kept(s, b);
	return (size_t)n;
}

size_t
receiving_read(struct session *s, const uint8_t *data, size_t size, const struct budget *b)
{
	size_t used = 0;

	while (used < size && receiving_can_read(s)) {
		if (s->header_received < FRAME_HEADER_SIZE)
			used += read_header(s, data + used, size - used);
		/* A frame without a body is complete with its header. */
		if (s->header_received == FRAME_HEADER_SIZE && !s->is_over)
			used += read_body(s, data + used, size - used, b);
		if (used < size && is_between_frames(s) && budget_is_spent(b))
			break;
	}
	return used;
}

bool
receiving_can_continue(const struct session *s)
{
	return s->is_complete && !s->is_waiting && (publishing_is_active(s) || can_execute(s));
}

void
receiving_continue(struct session *s, const struct budget *b)
{
	if (receiving_can_continue(s))
		execute_kept(s, b);
}
