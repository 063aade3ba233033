#include "common/server/core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/buffers.h"
#include "common/server/core/claims.h"
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
	IN_PLACE_MOST = 16 * SIZE_KIB, /* a body that is executed where it was read, in one go */
	MEMORY_RETRY_MS = 10
};

int
session_create(struct session **out, struct server *v, const char *peer, struct account *account)
{
	struct session *s;

	if (account_take(account, ACCOUNT_SESSIONS, 1) != 0)
		return -EUSERS;
	s = calloc(1, sizeof *s);
	if (s != NULL)
		s->peer = strdup(peer);
	if (s == NULL || s->peer == NULL) {
		account_give(account, ACCOUNT_SESSIONS, 1);
		free(s);
		return -ENOMEM;
	}
	s->server = v;
	s->account = account_ref(account);
	s->version = PROTOCOL_VERSION_1;
	fdtable_init(&s->table, account);
	tags_init(&s->tags);
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->granted);
	TAILQ_INIT(&s->held);
	TAILQ_INIT(&s->leases);
	s->created = v->now;
	sessions_add(&v->sessions, s);
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
session_set_operator(struct session *s)
{
	s->is_operator = true;
}

static void
end(struct session *s)
{
	struct server *v = s->server;

	s->sending.desc = NULL;
	claims_close_table(s, false);
	forks_parent_ended(s->forks);
	timer_disarm(&v->timers, &s->stall);
	timer_disarm(&v->timers, &s->memory);
	if (s->is_ready)
		TAILQ_REMOVE(&v->ready, s, ready_link);
	sessions_remove(&v->sessions, s);
	if (v->served == s)
		v->served = NULL;
	buffers_fini(s);
	if (v->sessions.count == 0)
		spare_fini(&v->spare);
	account_give(s->account, ACCOUNT_SESSIONS, 1);
	account_put(s->account);
	free(s->peer);
	free(s);
}

/* Goes on publishing for a session whose connection has ended; ends it at the end. */
static void
publish_rest(struct task *t, const struct budget *b)
{
	struct session *s = container_of(t, struct session, task);

	if (publishing_continue(s, b) == -EINPROGRESS)
		schedule_add(&s->server->schedule, &s->account->queues[SCHEDULE_SESSIONS], t);
	else
		end(s);
}

void
session_destroy(struct session *s)
{
	if (s == NULL)
		return;
	if (!publishing_is_active(s)) {
		end(s);
		return;
	}
	s->has_ended = true;
	s->is_over = true;
	session_write_failed(s);
	s->task.run = publish_rest;
	schedule_add(&s->server->schedule, &s->account->queues[SCHEDULE_SESSIONS], &s->task);
}

static bool
is_between_frames(const struct session *s)
{
	return s->header_received == 0;
}

/* True when a request may be executed: its replies have room, and follow the ones before. */
static bool
can_execute(const struct session *s)
{
	return !s->is_over && !sending_is_active(s) && buf_size(&s->out) < PROTOCOL_UNSENT_MOST;
}

/* A frame that has begun is received to its end, however many replies are unsent. */
static bool
can_read(const struct session *s)
{
	if (s->is_over || s->is_complete || s->memory.armed)
		return false;
	return !is_between_frames(s) || can_execute(s);
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
		.budget = b };

	if (!dispatch_request(s, frame_get(s->header).code, &q)) {
		s->is_waiting = !publishing_is_active(s);
		if (s->wait_deadline == 0)
			s->wait_deadline = clock_after_ms(s->server->now, PROTOCOL_STALL_MS);
		return false;
	}
	s->wait_deadline = 0;
	s->header_received = 0;
	s->has_begun = true;
	s->requests++;
	s->server->requests++;
	if (s->write_failed)
		buf_consume(&s->out, buf_size(&s->out));
	return true;
}

/* Executes the request whose body has been kept in s->body. */
static void
execute_kept(struct session *s, const struct budget *b)
{
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
	if (!grace_is_over(s, t, &s->stall_turn))
		return;
	reply_end_session(s, "%lu bytes of a frame, then %d s of silence",
	    (unsigned long)(s->header_received + s->body_received), PROTOCOL_STALL_MS / 1000);
}

/* Bytes have come: a frame that is still incomplete has its time again. */
static void
update_stall_timer(struct session *s)
{
	struct server *v = s->server;

	s->stall_turn = 0;
	if (is_between_frames(s) || s->is_complete || s->memory.armed || s->is_over)
		timer_disarm(&v->timers, &s->stall);
	else
		timer_arm(&v->timers, &s->stall, clock_after_ms(v->now, PROTOCOL_STALL_MS),
		    stall_expired);
}

static void retry_memory(struct timer *t);

/* There is no memory for the body: reads no more, and tries again for a while. */
static void
await_memory(struct session *s)
{
	struct server *v = s->server;

	if (s->memory_deadline == 0)
		s->memory_deadline = clock_after_ms(v->now, PROTOCOL_STALL_MS);
	timer_arm(&v->timers, &s->memory, clock_after_ms(v->now, MEMORY_RETRY_MS), retry_memory);
}

static void
retry_memory(struct timer *t)
{
	struct session *s = container_of(t, struct session, memory);

	if (buffers_grow_body(s, s->body_kept) == 0) {
		s->memory_deadline = 0;
	} else if (s->server->now < s->memory_deadline) {
		await_memory(s);
	} else if (s->body_kept > DISCARDED_KEEP) {
		s->memory_deadline = 0;
		s->body_kept = DISCARDED_KEEP;
		s->missing_error = -ENOMEM;
	} else {
		reply_end_session(s, "no memory for a request");
	}
	update_stall_timer(s);
	reply_mark_ready(s);
}

/* Keeps n bytes of the body at data, or discards those that are not kept. */
static void
keep(struct session *s, const uint8_t *data, size_t n)
{
	uint64_t kept = s->body_received < s->body_kept ? s->body_kept - s->body_received : 0;

	if (buffers_append(s, &s->body, data, kept < n ? (size_t)kept : n) != 0)
		reply_end_session(s, "no memory for a body of %lu bytes",
		    (unsigned long)s->body_size);
	s->body_received += n;
	s->is_complete = s->body_received == s->body_size;
}

/* Executes a request that is whole in data, or keeps it if it does not end. */
static void
execute_in_place(struct session *s, const uint8_t *data)
{
	if (execute(s, data, &BUDGET_UNLIMITED))
		return;
	(void)buffers_grow_body(s, (size_t)s->body_size);
	keep(s, data, (size_t)s->body_size);
}

/* Reads from the body at data; executes the request when it is complete. Returns bytes used. */
static size_t
read_body(struct session *s, const uint8_t *data, size_t size, const struct budget *b)
{
	uint64_t n = s->body_size - s->body_received;

	if (s->body_received == 0 && size >= n && s->body_kept == n && n <= IN_PLACE_MOST &&
	    can_execute(s)) {
		execute_in_place(s, data);
		return (size_t)n;
	}
	/* Reserve room for the whole body, which is bounded, so that nothing is copied twice. */
	if (s->body_received == 0 && s->body.capacity < s->body_kept &&
	    buffers_grow_body(s, s->body_kept) != 0) {
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

/*
 * Reads frames from size bytes and executes them, as long as can_read() and b lasts. Returns how
 * many bytes it used.
 */
static size_t
read_requests(struct session *s, const uint8_t *data, size_t size, const struct budget *b)
{
	size_t used = 0;

	while (used < size && can_read(s)) {
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

/* True when all that the peer has sent is executed, and no grant is on its way to it. */
static bool
is_idle(const struct session *s)
{
	return !s->is_complete && buf_size(&s->backlog) == 0 && !sending_is_active(s) &&
	    !claims_can_deliver(s, SIZE_MAX);
}

/* To be called at the end of each call of the driver. */
static void
settle(struct session *s)
{
	if (s->input_ended && is_idle(s))
		s->is_over = true;
	if (s->is_over)
		claims_drop_others(s, s->publishing.desc);
	if (s->write_failed) {
		buf_consume(&s->out, buf_size(&s->out));
		buf_consume(&s->late, buf_size(&s->late));
	}
	if (!sending_is_active(s))
		buffers_trim(s, &s->out);
	buffers_trim(s, &s->backlog);
}

void
session_feed(struct session *s, const void *data, size_t size, const struct budget *b)
{
	size_t used = 0;

	if (s->is_over)
		return;
	s->bytes_in += size;
	if (buf_size(&s->backlog) == 0)
		used = read_requests(s, data, size, b);
	update_stall_timer(s);
	if (!s->is_over && buffers_keep_backlog(s, (const uint8_t *)data + used, size - used) != 0)
		reply_end_session(s, "no memory for its requests");
	settle(s);
}

bool
session_wants_input(const struct session *s)
{
	return can_read(s) && buf_size(&s->backlog) == 0;
}

bool
session_has_work(const struct session *s)
{
	if (sending_can_continue(s) || publishing_is_active(s) ||
	    claims_can_deliver(s, PROTOCOL_UNSENT_MOST))
		return true;
	if (s->is_complete)
		return can_execute(s) && !s->is_waiting;
	return buf_size(&s->backlog) > 0 && can_read(s);
}

/* Reads what was fed while the session could not execute it. */
static void
read_backlog(struct session *s, const struct budget *b)
{
	size_t used = read_requests(s, buf_data(&s->backlog), buf_size(&s->backlog), b);

	buf_consume(&s->backlog, used);
	update_stall_timer(s);
}

void
session_work(struct session *s, const struct budget *b)
{
	sending_continue(s);
	claims_deliver(s, PROTOCOL_UNSENT_MOST);
	if (s->is_complete && !s->is_waiting && (publishing_is_active(s) || can_execute(s)))
		execute_kept(s, b);
	if (buf_size(&s->backlog) > 0 && can_read(s))
		read_backlog(s, b);
	settle(s);
}

size_t
session_output(const struct session *s, const uint8_t **data)
{
	*data = buf_data(&s->out);
	return s->write_failed ? 0 : buf_size(&s->out);
}

void
session_sent(struct session *s, size_t size)
{
	buf_consume(&s->out, size);
	s->sent += size;
	claims_sent(s);
	settle(s);
}

void
session_turn_ended(struct session *s)
{
	struct server *v = s->server;

	/* The turn has done what s was marked ready for. */
	if (s->is_ready)
		TAILQ_REMOVE(&v->ready, s, ready_link);
	s->is_ready = false;
	s->turns++;
	v->served = s;
	/* A timer may have ended the session. */
	settle(s);
	if (!s->is_waiting)
		return;
	s->is_waiting = false;
	reply_mark_ready(s);
}

void
session_input_ended(struct session *s)
{
	s->input_ended = true;
	settle(s);
}

void
session_write_failed(struct session *s)
{
	s->write_failed = true;
	s->sending.desc = NULL;
	settle(s);
}

bool
session_is_over(const struct session *s)
{
	return s->is_over;
}
