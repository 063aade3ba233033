#include "common/remote/mux_core.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/status.h"
#include "common/wire/stream.h"

enum {
	YIELD_LONG_NS = 200000, /* several times what a server needs for an answer */
	REST_MS = 1,            /* after a yield in which nothing came, */
	LONG_REST_MS = 250,     /* and after a long one */
};

struct mux_call *
mux_input_find(struct mux *m, uint16_t tag)
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
	if (!TAILQ_EMPTY(&m->calls))
		m->heard = clock_now();
	m->incoming = NULL;
	if (c->is_waiting)
		wakeup_wake(&c->woken);
}

/* A header has arrived: finds its call, and room for the body. */
static int
begin_reply(struct mux *m, struct frame f)
{
	struct mux_call *c;
	int status;

	if (m->has_tags && frame_tag(f.code) >= ONE_WAY_TAG)
		return mux_failure_record(m, f);
	c = mux_input_find(m, frame_tag(f.code));
	if (c == NULL && m->has_tags && mux_orphan_answer(m, f) == 0) {
		m->heard = clock_now();
		return 0;
	}
	status = status_from_wire(m->has_tags ? frame_untagged(f.code) : f.code);
	if (c == NULL || f.body_size > (status == 0 ? c->reply_most : 0))
		return mux_core_end(m, -EPROTO);
	if (f.body_size > MUX_SMALL) {
		c->body = m->spare;
		m->spare = (struct buf){ 0 };
		if (buf_reserve(&c->body, f.body_size) == NULL)
			return mux_core_end(m, -ENOMEM);
	}
	c->status = status;
	m->incoming = c;
	m->incoming_have = 0;
	m->incoming_size = f.body_size;
	if (f.body_size == 0)
		answer(m, c);
	return 0;
}

/* Where to put the next bytes of the incoming body. */
static uint8_t *
incoming_room(struct mux *m)
{
	size_t left = m->incoming_size - m->incoming_have;

	if (m->incoming_size <= MUX_SMALL)
		return m->incoming->small + m->incoming_have;
	return buf_reserve(&m->incoming->body, left);
}

static void
commit_incoming(struct mux *m, size_t size)
{
	if (m->incoming_size > MUX_SMALL)
		buf_commit(&m->incoming->body, size);
	m->incoming_have += size;
	if (m->incoming_have == m->incoming_size)
		answer(m, m->incoming);
}

/* Gives the bytes that were read to their calls. */
static int
dispatch(struct mux *m)
{
	size_t part;
	int error;

	while (m->in_size > 0) {
		if (m->discarding > 0) {
			part = m->discarding < m->in_size ? (size_t)m->discarding : m->in_size;
			m->discarding -= part;
		} else if (m->incoming != NULL) {
			part = m->incoming_size - m->incoming_have;
			if (part > m->in_size)
				part = m->in_size;
			memcpy(incoming_room(m), m->in + m->in_head, part);
			commit_incoming(m, part);
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

int
mux_input_read(struct mux *m)
{
	/* The rest of a body goes to its call without a copy. */
	bool is_direct = m->incoming != NULL && m->in_size == 0;
	size_t size = is_direct ? m->incoming_size - m->incoming_have : READ_SIZE - m->in_size;
	uint8_t *room = is_direct ? incoming_room(m) : m->in + m->in_size;
	ssize_t n = stream_read(m->stream, room, size);
	int error;

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return mux_core_end(m, (int)n);
	mux_core_moved(m, (size_t)n);
	if (is_direct) {
		commit_incoming(m, (size_t)n);
		return 1;
	}
	m->in_size += (size_t)n;
	size = m->in_size;
	error = dispatch(m);
	if (m->in_size == 0)
		explicit_bzero(m->in, size);
	return error != 0 ? error : 1;
}

void
mux_input_wake_driver(struct mux *m)
{
	struct mux_call *c;

	if (m->has_driver)
		return;
	TAILQ_FOREACH(c, &m->calls, link) {
		if (c->is_waiting) {
			wakeup_wake(&c->woken);
			return;
		}
	}
}

/* How the last yield went decides when the next may be. */
static void
learn_from_yield(struct mux *m, uint64_t begin, bool has_read)
{
	uint64_t now = clock_now();

	if (now - begin > YIELD_LONG_NS)
		m->yield_from = clock_after_ms(now, LONG_REST_MS);
	else if (!has_read)
		m->yield_from = clock_after_ms(now, REST_MS);
}

/*
 * Gives the processor up once: a server on the same one answers meanwhile, and neither side sleeps
 * or is woken. Reads what came. Returns 0 when nothing did, as is usual for a server on another
 * processor and when the lock is held. A yield is long where a process computes on this processor:
 * it keeps the rest of its time slice, while a sleeper that is woken would run before it.
 */
static int
let_server_run(struct mux *m)
{
	uint64_t begin = clock_now();
	int error;

	if (m->incoming != NULL || begin < m->yield_from)
		return 0;
	mux_core_unlock(m);
	(void)sched_yield();
	mux_core_lock(m);
	if (m->has_ended)
		return m->error;
	error = mux_input_read(m);
	learn_from_yield(m, begin, error != 0);
	return error;
}

/* Polls first: the reply is seldom here already, and a read would find nothing. */
static int
poll_and_read(struct mux *m, uint64_t deadline, struct eintr *e)
{
	short ready;
	int error = mux_core_poll(m, mux_core_read_events(m), deadline, &ready, e);

	if (m->has_ended)
		return m->error;
	if (error == 0)
		return mux_input_read(m);
	return error != -ETIMEDOUT && error != -EINTR ? mux_core_end(m, error) : error;
}

int
mux_input_drive(struct mux *m, bool is_for_lock, uint64_t deadline, struct eintr *e)
{
	int error;

	m->has_driver = true;
	if (stream_may_have_more(m->stream)) {
		error = mux_input_read(m);
	} else {
		error = is_for_lock ? let_server_run(m) : 0;
		if (error == 0)
			error = poll_and_read(m, deadline, e);
	}
	m->has_driver = false;
	return error > 0 ? 0 : error;
}
