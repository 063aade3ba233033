#include "common/client/mux.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/base/status.h"
#include "common/wire/frame.h"
#include "common/wire/stream.h"

enum {
	STAGING_SIZE = 16 * SIZE_KIB, /* one TLS record */
	READ_SIZE = 16 * SIZE_KIB,
	KEEP_SIZE = 64 * SIZE_KIB, /* of the spare buffer, for good */
	LOOK_AGAIN_MS = 20,
	KEEP_REPLIES = 64, /* more is kept when so few replies did not need it */
	REASON_SIZE = 200,
	NOTICE_TAG = 0x8000, /* tags from here on are notices' */
	NOTICES_LEAST = 16
};

TAILQ_HEAD(call_list, mux_call);

struct mux {
	pthread_mutex_t mutex; /* of all but the sender's own; never held in poll(2) */
	struct stream *stream; /* closed when it has ended and nobody sleeps on it */
	bool has_ended;
	int error; /* with which it ended */
	char reason[REASON_SIZE];
	unsigned sleepers; /* in poll(2) */
	bool is_driven;    /* one of them, or one that reads, drives */
	bool has_tags;
	uint16_t last_tag;
	uint64_t deadline;      /* of all waiting, until the two ends have agreed */
	struct call_list calls; /* without their reply, in the order they were sent */

	/* Input: what was read and not yet handed out, and whose body is coming. */
	uint8_t in[READ_SIZE];
	size_t in_head;
	size_t in_size;
	bool is_drained;  /* the last read found nothing */
	short read_wants; /* and then the socket has to be ready for this */
	struct mux_call *incoming;
	size_t incoming_have;
	size_t incoming_size;
	struct buf spare; /* for the next large reply */
	unsigned replies_since_large;

	struct mux_notice **notices;
	size_t notices_room;

	/* Output. What follows the flag belongs to who has the turn. */
	pthread_cond_t turn;
	bool is_sending;
	uint64_t body_left; /* of the request, still to be put */
	size_t staged;
	uint8_t staging[STAGING_SIZE];
};

static void
init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

/* Waits once, at most until deadline. Returns false when it has passed. */
static bool
wait_cond(struct mux *m, pthread_cond_t *cond, uint64_t deadline)
{
	struct timespec ts;

	if (deadline == CLOCK_NEVER)
		return pthread_cond_wait(cond, &m->mutex) == 0;
	ts.tv_sec = (time_t)(deadline / CLOCK_SEC);
	ts.tv_nsec = (long)(deadline % CLOCK_SEC);
	return pthread_cond_timedwait(cond, &m->mutex, &ts) == 0;
}

void
mux_lock(struct mux *m)
{
	(void)pthread_mutex_lock(&m->mutex);
}

void
mux_unlock(struct mux *m)
{
	(void)pthread_mutex_unlock(&m->mutex);
}

int
mux_create(struct mux **out, struct stream *s)
{
	struct mux *m = calloc(1, sizeof *m);

	if (m == NULL)
		return -ENOMEM;
	m->stream = s;
	m->deadline = CLOCK_NEVER;
	m->replies_since_large = KEEP_REPLIES;
	(void)pthread_mutex_init(&m->mutex, NULL);
	init_cond(&m->turn);
	TAILQ_INIT(&m->calls);
	*out = m;
	return 0;
}

void
mux_destroy(struct mux *m)
{
	if (m == NULL)
		return;
	assert(TAILQ_EMPTY(&m->calls) && m->sleepers == 0);
	stream_destroy(m->stream);
	buf_fini(&m->spare);
	free(m->notices);
	/* The condition variable stays: in a forked child, destroying it would wait for threads there are not. */
	(void)pthread_mutex_destroy(&m->mutex);
	explicit_bzero(m, sizeof *m);
	free(m);
}

void
mux_abandon(struct mux *m, bool is_locked)
{
	stream_destroy(m->stream);
	m->stream = NULL;
	m->has_ended = true;
	m->error = -ENOTCONN;
	m->sleepers = 0;
	m->is_driven = m->is_sending = false;
	m->incoming = NULL;
	TAILQ_INIT(&m->calls);
	if (is_locked)
		mux_unlock(m);
	else
		(void)pthread_mutex_init(&m->mutex, NULL);
}

/* The end. From here to mux_handshake() everything is called with the mutex. */

static void
close_stream(struct mux *m)
{
	if (m->sleepers > 0)
		return;
	stream_destroy(m->stream);
	m->stream = NULL;
}

/* The connection has ended: nobody sleeps any longer. Returns error as callers are to see it. */
static int
end(struct mux *m, int error)
{
	struct mux_call *c;

	/* Whatever the socket calls it, to the caller the server went away. */
	if (error == -EPIPE || error == 0)
		error = -ECONNRESET;
	if (m->has_ended)
		return error;
	m->has_ended = true;
	/* The time that was up is that of the one who says so; to the others the server is gone. */
	m->error = error == -ETIMEDOUT ? -ECONNRESET : error;
	(void)snprintf(m->reason, sizeof m->reason, "%s", stream_reason(m->stream));
	stream_abort(m->stream);
	close_stream(m);
	TAILQ_FOREACH(c, &m->calls, link)
		(void)pthread_cond_signal(&c->woken);
	(void)pthread_cond_broadcast(&m->turn);
	return error;
}

/* Sleeps until the socket is ready for one of events, *ready, or the connection has ended: 0; or -ETIMEDOUT. */
static int
sleep_on_socket(struct mux *m, short events, uint64_t deadline, short *ready)
{
	struct pollfd p = { .fd = stream_fd(m->stream), .events = events };
	int n, error, timeout;

	m->sleepers++;
	mux_unlock(m);
	do {
		timeout = -1;
		if (deadline != CLOCK_NEVER)
			timeout = clock_poll_timeout(clock_now(), deadline);
		n = poll(&p, 1, timeout);
		/* A signal is the program's business; who waits for a lock goes on waiting. */
	} while (n < 0 && errno == EINTR);
	error = n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
	mux_lock(m);
	m->sleepers--;
	if (m->has_ended)
		close_stream(m);
	*ready = p.revents;
	return error;
}

/* Replies. */

static struct mux_call *
find_call(struct mux *m, uint16_t tag)
{
	struct mux_call *c;

	if (!m->has_tags)
		return TAILQ_FIRST(&m->calls);
	TAILQ_FOREACH(c, &m->calls, link)
		if (c->tag == tag)
			return c;
	return NULL;
}

static void
answer(struct mux *m, struct mux_call *c)
{
	const uint8_t *body = m->incoming_size <= MUX_SMALL ? c->small : buf_data(&c->body);

	c->reply = wire_reader(body, m->incoming_size);
	c->is_done = true;
	TAILQ_REMOVE(&m->calls, c, link);
	m->incoming = NULL;
	if (c->is_waiting)
		(void)pthread_cond_signal(&c->woken);
}

/* A frame that answers a one-way request: its failure. */
static int
take_notice(struct mux *m, struct frame f)
{
	size_t i = (size_t)frame_tag(f.code) - NOTICE_TAG;
	int error = status_from_wire(frame_untagged(f.code));

	if (i >= m->notices_room || m->notices[i] == NULL || error == 0 || f.body_size != 0)
		return end(m, -EPROTO);
	m->notices[i]->error = error;
	return 0;
}

/* The header of a reply is here: finds whose it is, and room for the body. */
static int
begin_reply(struct mux *m, struct frame f)
{
	struct mux_call *c;
	int status;

	if (m->has_tags && frame_tag(f.code) >= NOTICE_TAG)
		return take_notice(m, f);
	c = find_call(m, frame_tag(f.code));
	status = status_from_wire(m->has_tags ? frame_untagged(f.code) : f.code);
	if (c == NULL || f.body_size > (status == 0 ? c->reply_most : 0))
		return end(m, -EPROTO);
	if (f.body_size > MUX_SMALL) {
		c->body = m->spare;
		m->spare = (struct buf){ 0 };
		if (buf_reserve(&c->body, f.body_size) == NULL)
			return end(m, -ENOMEM);
	}
	c->status = status;
	m->incoming = c;
	m->incoming_have = 0;
	m->incoming_size = f.body_size;
	if (f.body_size == 0)
		answer(m, c);
	return 0;
}

/* Where the next bytes of the incoming body belong. */
static uint8_t *
incoming_room(struct mux *m)
{
	size_t left = m->incoming_size - m->incoming_have;

	if (m->incoming_size <= MUX_SMALL)
		return m->incoming->small + m->incoming_have;
	return buf_reserve(&m->incoming->body, left);
}

static void
incoming_came(struct mux *m, size_t size)
{
	if (m->incoming_size > MUX_SMALL)
		buf_commit(&m->incoming->body, size);
	m->incoming_have += size;
	if (m->incoming_have == m->incoming_size)
		answer(m, m->incoming);
}

/* Hands out what was read. */
static int
dispatch(struct mux *m)
{
	size_t part;
	int error;

	while (m->in_size > 0) {
		if (m->incoming != NULL) {
			part = m->incoming_size - m->incoming_have;
			if (part > m->in_size)
				part = m->in_size;
			memcpy(incoming_room(m), m->in + m->in_head, part);
			incoming_came(m, part);
		} else if (m->in_size >= FRAME_HEADER_SIZE) {
			part = FRAME_HEADER_SIZE;
			error = begin_reply(m, frame_get(m->in + m->in_head));
			if (error != 0)
				return error;
		} else {
			memmove(m->in, m->in + m->in_head, m->in_size);
			m->in_head = 0;
			return 0;
		}
		m->in_head += part;
		m->in_size -= part;
	}
	m->in_head = 0;
	return 0;
}

/* The events that the stream's last -EAGAIN asks for. */
static short
wanted(const struct mux *m)
{
	return stream_wants_write(m->stream) ? POLLOUT : POLLIN;
}

/*
 * Reads once and hands out. Returns 1 when something came, 0 when there was nothing, or the error with which
 * the connection has ended.
 */
static int
read_some(struct mux *m)
{
	/* A large body goes where it belongs at once. */
	bool is_direct = m->incoming != NULL && m->in_size == 0;
	size_t size = is_direct ? m->incoming_size - m->incoming_have : READ_SIZE - m->in_size;
	uint8_t *room = is_direct ? incoming_room(m) : m->in + m->in_size;
	ssize_t n = stream_read(m->stream, room, size);
	int error;

	m->is_drained = n == -EAGAIN;
	if (n == -EAGAIN) {
		m->read_wants = wanted(m);
		return 0;
	}
	if (n <= 0)
		return end(m, (int)n);
	if (is_direct) {
		incoming_came(m, (size_t)n);
		return 1;
	}
	m->in_size += (size_t)n;
	size = m->in_size;
	error = dispatch(m);
	if (m->in_size == 0)
		explicit_bzero(m->in, size);
	return error != 0 ? error : 1;
}

/* Who drove does so no longer: somebody else who waits has to. */
static void
pass_on(struct mux *m)
{
	struct mux_call *c;

	if (m->is_driven)
		return;
	TAILQ_FOREACH(c, &m->calls, link) {
		if (c->is_waiting) {
			(void)pthread_cond_signal(&c->woken);
			return;
		}
	}
}

/*
 * Drives the connection: sleeps until something comes, if nothing has, and reads once. Returns 0, -ETIMEDOUT, or
 * the error with which the connection has ended.
 */
static int
drive(struct mux *m, uint64_t deadline)
{
	short events = m->is_drained ? m->read_wants : POLLIN, ready;
	int error = 0;

	m->is_driven = true;
	/* A reply seldom waits for us: polling first saves a read that finds nothing. */
	if (m->is_drained || !stream_has_pending(m->stream))
		error = sleep_on_socket(m, events, deadline, &ready);
	if (m->has_ended)
		error = m->error;
	else if (error == 0)
		error = read_some(m);
	else if (error != -ETIMEDOUT)
		error = end(m, error);
	m->is_driven = false;
	return error > 0 ? 0 : error;
}

/*
 * The socket takes no more: sleeps until it does, and drives meanwhile if nobody else does. Who drives may stop doing
 * so while we sleep, and nobody but us may be left: so look again soon.
 */
static int
wait_writable(struct mux *m)
{
	bool drives = !m->is_driven;
	uint64_t deadline = m->deadline, soon = clock_after_ms(clock_now(), LOOK_AGAIN_MS);
	short ready;
	int error;

	if (!drives && soon < deadline)
		deadline = soon;
	m->is_driven = true;
	error = sleep_on_socket(m, wanted(m) | (drives ? POLLIN : 0), deadline, &ready);
	if (!m->has_ended && error == 0 && drives && (ready & POLLIN) != 0)
		error = read_some(m);
	if (drives) {
		m->is_driven = false;
		pass_on(m);
	}
	if (m->has_ended)
		return m->error;
	if (error == -ETIMEDOUT && deadline == soon)
		return 0;
	return error < 0 ? end(m, error) : 0;
}

static void
write_all(struct mux *m, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	mux_lock(m);
	while (size > 0 && !m->has_ended) {
		n = stream_write(m->stream, bytes, size);
		if (n >= 0) {
			bytes += n;
			size -= (size_t)n;
		} else if (n != -EAGAIN) {
			(void)end(m, (int)n);
		} else if (wait_writable(m) != 0) {
			break;
		}
	}
	mux_unlock(m);
}

int
mux_handshake(struct mux *m)
{
	short ready;
	int error;

	mux_lock(m);
	while ((error = stream_handshake(m->stream)) == -EAGAIN) {
		error = sleep_on_socket(m, wanted(m), m->deadline, &ready);
		if (error != 0)
			break;
	}
	if (error != 0)
		error = end(m, error);
	mux_unlock(m);
	return error;
}

void
mux_set_deadline(struct mux *m, uint64_t deadline)
{
	mux_lock(m);
	m->deadline = deadline;
	mux_unlock(m);
}

void
mux_use_tags(struct mux *m)
{
	mux_lock(m);
	m->has_tags = true;
	mux_unlock(m);
}

/* Notices. */

/* A place for one more, or -ENOMEM, -EMFILE. */
static ssize_t
find_place(struct mux *m)
{
	struct mux_notice **grown;
	size_t i, room;

	for (i = 0; i < m->notices_room && m->notices[i] != NULL; i++)
		continue;
	if (i == NOTICE_TAG)
		return -EMFILE;
	if (i == m->notices_room) {
		room = i == 0 ? NOTICES_LEAST : 2 * i;
		grown = reallocarray(m->notices, room, sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		memset(grown + i, 0, (room - i) * sizeof *grown);
		m->notices = grown;
		m->notices_room = room;
	}
	return (ssize_t)i;
}

int
mux_enroll(struct mux *m, struct mux_notice *n)
{
	ssize_t i;

	mux_lock(m);
	i = find_place(m);
	if (i >= 0) {
		m->notices[i] = n;
		n->tag = (uint16_t)(NOTICE_TAG + i);
		n->is_enrolled = true;
	}
	mux_unlock(m);
	return i < 0 ? (int)i : 0;
}

void
mux_dismiss(struct mux *m, struct mux_notice *n)
{
	if (!n->is_enrolled)
		return;
	mux_lock(m);
	m->notices[n->tag - NOTICE_TAG] = NULL;
	n->is_enrolled = false;
	mux_unlock(m);
}

int
mux_take_notice(struct mux *m, struct mux_notice *n, bool *was_told)
{
	int error;

	mux_lock(m);
	error = n->error;
	*was_told = n->is_told;
	n->error = 0;
	n->is_told = false;
	mux_unlock(m);
	return error;
}

int
mux_tell_notice(struct mux *m, struct mux_notice *n)
{
	int error;

	mux_lock(m);
	error = n->is_told ? 0 : n->error;
	n->is_told = n->error != 0;
	mux_unlock(m);
	return error;
}

/* Requests. */

int
mux_begin(struct mux *m, uint64_t deadline)
{
	int error = 0;

	mux_lock(m);
	if (m->deadline < deadline)
		deadline = m->deadline;
	while (m->is_sending && !m->has_ended && error == 0)
		if (!wait_cond(m, &m->turn, deadline))
			error = -ETIMEDOUT;
	if (m->has_ended)
		error = -ENOTCONN;
	else if (!m->is_sending)
		error = 0;
	if (error == 0)
		m->is_sending = true;
	mux_unlock(m);
	return error;
}

/* A tag that no call waits for. */
static uint16_t
draw_tag(struct mux *m)
{
	do
		m->last_tag = m->last_tag + 1 < NOTICE_TAG ? m->last_tag + 1 : 1;
	while (m->has_tags && find_call(m, m->last_tag) != NULL);
	return m->last_tag;
}

static void
put_header(struct mux *m, uint16_t tag, uint32_t op, uint64_t body_size)
{
	struct frame f = { m->has_tags ? frame_tagged(tag, op) : op, (uint32_t)body_size };
	uint8_t header[FRAME_HEADER_SIZE];

	assert(body_size <= UINT32_MAX && m->body_left == 0);
	frame_put(header, f);
	m->staged = 0;
	m->body_left = sizeof header + body_size;
	mux_put(m, header, sizeof header);
}

void
mux_call(struct mux *m, struct mux_call *c, uint32_t op, uint64_t body_size, uint32_t reply_most)
{
	c->is_waiting = c->is_done = false;
	c->reply_most = reply_most;
	c->body = (struct buf){ 0 };
	init_cond(&c->woken);
	mux_lock(m);
	c->tag = draw_tag(m);
	TAILQ_INSERT_TAIL(&m->calls, c, link);
	mux_unlock(m);
	put_header(m, c->tag, op, body_size);
}

void
mux_tell(struct mux *m, const struct mux_notice *n, uint32_t op, uint64_t body_size)
{
	put_header(m, n->tag, op, body_size);
}

static void
flush(struct mux *m)
{
	write_all(m, m->staging, m->staged);
	m->staged = 0;
}

void
mux_put(struct mux *m, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	size_t part;

	assert(size <= m->body_left);
	m->body_left -= size;
	while (size > 0) {
		if (m->staged == 0 && size >= STAGING_SIZE) {
			/* Whole records, from where they are. */
			part = size - size % STAGING_SIZE;
			write_all(m, next, part);
		} else {
			part = STAGING_SIZE - m->staged;
			if (part > size)
				part = size;
			memcpy(m->staging + m->staged, next, part);
			m->staged += part;
			if (m->staged == STAGING_SIZE)
				flush(m);
		}
		next += part;
		size -= part;
	}
}

static void
put_number(struct mux *m, uint64_t value, size_t size)
{
	uint8_t bytes[sizeof value];
	struct wire_writer w = wire_writer(bytes, sizeof bytes);

	wire_put_u64(&w, value);
	mux_put(m, bytes + sizeof bytes - size, size);
}

void
mux_put_u8(struct mux *m, uint8_t value)
{
	put_number(m, value, sizeof value);
}

void
mux_put_u32(struct mux *m, uint32_t value)
{
	put_number(m, value, sizeof value);
}

void
mux_put_u64(struct mux *m, uint64_t value)
{
	put_number(m, value, sizeof value);
}

int
mux_send(struct mux *m)
{
	int error;

	assert(m->body_left == 0);
	flush(m);
	mux_lock(m);
	m->is_sending = false;
	(void)pthread_cond_signal(&m->turn);
	error = m->has_ended ? m->error : 0;
	mux_unlock(m);
	return error;
}

int
mux_wait(struct mux *m, struct mux_call *c, uint64_t deadline)
{
	bool is_last_chance;
	int error = 0;

	mux_lock(m);
	is_last_chance = m->deadline <= deadline;
	if (is_last_chance)
		deadline = m->deadline;
	while (!c->is_done && !m->has_ended && error != -ETIMEDOUT) {
		if (!m->is_driven) {
			error = drive(m, deadline);
			continue;
		}
		c->is_waiting = true;
		if (!wait_cond(m, &c->woken, deadline))
			error = -ETIMEDOUT;
		c->is_waiting = false;
	}
	/* Its own time is up: it has not come about. */
	if (!c->is_done && !m->has_ended && is_last_chance)
		(void)end(m, -ETIMEDOUT);
	pass_on(m);
	if (c->is_done)
		error = c->status;
	else if (m->has_ended && error != -ETIMEDOUT)
		error = m->error;
	mux_unlock(m);
	return error;
}

/* Keeps the buffer of a reply for the next one; a large one only where large replies come again and again. */
static void
keep_buffer(struct mux *m, struct mux_call *c)
{
	bool is_large = c->body.capacity > KEEP_SIZE && buf_size(&c->body) > KEEP_SIZE;

	if (is_large)
		m->replies_since_large = 0;
	else if (m->replies_since_large < KEEP_REPLIES)
		m->replies_since_large++;
	buf_consume(&c->body, buf_size(&c->body));
	if (m->spare.capacity < c->body.capacity) {
		struct buf smaller = m->spare;

		m->spare = c->body;
		c->body = smaller;
	}
	buf_fini(&c->body);
	if (m->replies_since_large >= KEEP_REPLIES)
		buf_trim(&m->spare, KEEP_SIZE);
}

void
mux_end(struct mux *m, struct mux_call *c)
{
	mux_lock(m);
	assert(c->is_done || m->has_ended);
	if (!c->is_done)
		TAILQ_REMOVE(&m->calls, c, link);
	if (m->incoming == c)
		m->incoming = NULL;
	keep_buffer(m, c);
	mux_unlock(m);
	(void)pthread_cond_destroy(&c->woken);
	explicit_bzero(c->small, sizeof c->small);
}

bool
mux_is_answered(struct mux *m, const struct mux_call *c)
{
	bool is_done;

	mux_lock(m);
	is_done = c->is_done;
	mux_unlock(m);
	return is_done;
}

/* The end, and how things stand. */

int
mux_break(struct mux *m, int error)
{
	mux_lock(m);
	error = end(m, error);
	mux_unlock(m);
	return error;
}

bool
mux_has_ended(struct mux *m)
{
	bool has_ended;

	mux_lock(m);
	has_ended = m->has_ended;
	mux_unlock(m);
	return has_ended;
}

/* Takes what the server has said although nobody asked. */
static void
look(struct mux *m)
{
	struct pollfd p = { .fd = stream_fd(m->stream), .events = POLLIN };

	if ((!m->is_drained && stream_has_pending(m->stream)) || poll(&p, 1, 0) == 1)
		(void)read_some(m);
}

bool
mux_is_alive(struct mux *m)
{
	bool is_alive;

	mux_lock(m);
	if (!m->has_ended && !m->is_driven)
		look(m);
	is_alive = !m->has_ended;
	mux_unlock(m);
	return is_alive;
}

const char *
mux_reason(struct mux *m)
{
	return mux_has_ended(m) ? m->reason : "";
}
