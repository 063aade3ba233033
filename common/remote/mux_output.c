#include "common/remote/mux_core.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/cond.h"
#include "common/wire/protocol.h"
#include "common/wire/socket.h"
#include "common/wire/stream.h"
#include "common/wire/wire.h"

/*
 * Sleeps until the socket takes bytes again, and drives meanwhile if there is no driver. If there
 * is one, it may stop while this thread sleeps and leave no other thread to drive: so check again
 * soon.
 */
static int
wait_writable(struct mux *m)
{
	bool drives = !m->has_driver;
	uint64_t limit = mux_core_limit(m, m->send_limit), now = clock_now();
	uint64_t soon = clock_after_ms(now, RECHECK_MS), deadline = limit;
	short reads = drives ? mux_core_read_events(m) : 0, ready = reads;
	int error = 0;

	m->unlooked = 0;
	if (limit <= now)
		return mux_core_end(m, -ETIMEDOUT);
	if (!drives && soon < deadline)
		deadline = soon;
	m->has_driver = true;
	if (!drives || !stream_may_have_more(m->stream))
		error = mux_core_poll(m, mux_core_write_events(m) | reads, deadline, &ready, NULL);
	if (!m->has_ended && error == 0 && (ready & reads) != 0)
		error = mux_input_read(m);
	if (drives) {
		m->has_driver = false;
		mux_input_wake_driver(m);
	}
	if (m->has_ended)
		return m->error;
	/* The limit may have moved meanwhile: looks again. */
	if (error == -ETIMEDOUT)
		return 0;
	return error < 0 ? mux_core_end(m, error) : 0;
}

/*
 * With the mutex. Looks whether the socket is still ours before the first bytes of each message,
 * after each wait, and every 64 KiB.
 */
static ssize_t
write_some(struct mux *m, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	if (m->unlooked == 0) {
		n = stream_write(m->stream, bytes, size);
		m->unlooked = n >= 0 ? UNLOOKED_MOST : 0;
	} else {
		n = stream_write_rest(m->stream, bytes, size);
		m->unlooked -= n > 0 && (size_t)n < m->unlooked ? (size_t)n : m->unlooked;
	}
	return n;
}

/* With the mutex. */
static void
write_all(struct mux *m, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	while (size > 0 && !m->has_ended) {
		n = write_some(m, bytes, size);
		if (n >= 0) {
			bytes += n;
			size -= (size_t)n;
			mux_core_moved(m, (size_t)n);
		} else if (n != -EAGAIN) {
			(void)mux_core_end(m, (int)n);
		} else if (wait_writable(m) != 0) {
			break;
		}
	}
}

static void
lock_and_write(struct mux *m, const uint8_t *bytes, size_t size)
{
	mux_core_lock(m);
	write_all(m, bytes, size);
	mux_core_unlock(m);
}

/* With the mutex: waits until there is no sender, or the limit. */
static int
take_role(struct mux *m, struct mux_limit limit)
{
	bool is_late = false;
	uint64_t until;

	while (m->is_sending && !m->has_ended && !is_late) {
		until = mux_core_limit(m, limit);
		if (!cond_wait_until(&m->sender_done, &m->mutex, until))
			is_late = mux_core_limit(m, limit) <= until;
	}
	if (m->has_ended)
		return -ENOTCONN;
	if (m->is_sending)
		return -ETIMEDOUT;
	m->is_sending = true;
	m->send_limit = limit;
	m->unlooked = 0;
	return 0;
}

int
mux_become_sender(struct mux *m, struct mux_limit limit)
{
	int error;

	mux_core_lock(m);
	error = take_role(m, limit);
	mux_core_unlock(m);
	return error;
}

static void
leave_role(struct mux *m)
{
	m->is_sending = false;
	(void)pthread_cond_signal(&m->sender_done);
}

/* With the mutex: waits until the socket takes a few bytes. */
static int
await_room(struct mux *m, uint64_t until)
{
	short ready;
	int error;

	/* A socket of the program may take no bytes for ever. */
	if (!stream_is_intact(m->stream))
		return mux_core_end(m, -EBADF);
	error = mux_core_poll(m, POLLOUT, until, &ready, NULL);
	if (m->has_ended)
		return -ENOTCONN;
	return error;
}

int
mux_become_quick_sender(struct mux *m, uint64_t until, struct mux_limit limit)
{
	int error;

	mux_core_lock(m);
	error = take_role(m, mux_limit_exact(until));
	if (error == 0) {
		m->send_limit = limit;
		if (!mux_core_is_writable(m))
			error = await_room(m, until);
		if (error != 0) {
			leave_role(m);
			mux_output_send_orphans(m);
		}
	}
	mux_core_unlock(m);
	return error;
}

uint16_t
mux_output_draw_tag(struct mux *m)
{
	do
		m->last_tag = m->last_tag + 1 < ONE_WAY_TAG ? m->last_tag + 1 : NO_TAG + 1;
	while (m->has_tags &&
	    (mux_input_find(m, m->last_tag) != NULL || mux_orphan_has_tag(m, m->last_tag)));
	return m->last_tag;
}

/* The sender, between two requests, with the mutex. */
static void
write_orphans(struct mux *m)
{
	uint8_t frame[FRAME_HEADER_SIZE + 4];
	struct mux_orphan *o;
	struct wire_writer w;

	while (!m->has_ended && (o = mux_orphan_unsent(m)) != NULL) {
		o->is_sent = true;
		frame_put(frame,
		    (struct frame){ frame_tagged(o->tag, OP_CANCEL),
			sizeof frame - FRAME_HEADER_SIZE });
		w = wire_writer(frame + FRAME_HEADER_SIZE, sizeof frame - FRAME_HEADER_SIZE);
		wire_put_u32(&w, o->call);
		write_all(m, frame, sizeof frame);
	}
}

void
mux_output_send_orphans(struct mux *m)
{
	if (m->has_ended || m->is_sending || mux_orphan_unsent(m) == NULL)
		return;
	if (!mux_orphan_has_unsent_cancel(m) && !mux_core_is_writable(m))
		return;
	m->is_sending = true;
	m->unlooked = 0;
	m->send_limit = mux_limit_exact(clock_after_ms(clock_now(), CANCEL_MS));
	write_orphans(m);
	leave_role(m);
}

/* Most of a request are numbers, which go straight into the staging buffer. */
static void
put_number(struct mux *m, const void *bytes, size_t size)
{
	if (m->staged + size >= STAGING_SIZE) {
		mux_put(m, bytes, size);
		return;
	}
	assert(size <= m->body_left);
	m->body_left -= size;
	memcpy(m->staging + m->staged, bytes, size);
	m->staged += size;
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
	put_number(m, header, sizeof header);
}

void
mux_begin_call(struct mux *m, struct mux_call *c, uint32_t op, uint64_t body_size,
    uint32_t reply_most)
{
	c->is_waiting = c->is_done = c->is_upgrade = c->is_cancelled = false;
	c->owner = NULL;
	c->reply_most = reply_most;
	c->body = (struct buf){ 0 };
	c->woken = (struct wakeup){ 0 };
	mux_core_lock(m);
	c->tag = mux_output_draw_tag(m);
	TAILQ_INSERT_TAIL(&m->calls, c, link);
	mux_core_unlock(m);
	put_header(m, c->tag, op, body_size);
}

void
mux_begin_one_way(struct mux *m, const struct mux_failure *f, uint32_t op, uint64_t body_size)
{
	put_header(m, f->tag, op, body_size);
}

static void
flush(struct mux *m)
{
	lock_and_write(m, m->staging, m->staged);
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
			/* Whole records are not copied. */
			part = size - size % STAGING_SIZE;
			lock_and_write(m, next, part);
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

void
mux_put_u8(struct mux *m, uint8_t value)
{
	put_number(m, &value, sizeof value);
}

void
mux_put_u32(struct mux *m, uint32_t value)
{
	value = htobe32(value);
	put_number(m, &value, sizeof value);
}

void
mux_put_u64(struct mux *m, uint64_t value)
{
	value = htobe64(value);
	put_number(m, &value, sizeof value);
}

int
mux_send(struct mux *m)
{
	int error;

	assert(m->body_left == 0);
	mux_core_lock(m);
	write_all(m, m->staging, m->staged);
	m->staged = 0;
	write_orphans(m);
	leave_role(m);
	error = m->has_ended ? m->error : 0;
	mux_core_unlock(m);
	return error;
}

bool
mux_has_unsent(struct mux *m, uint64_t size)
{
	int count = 0;

	mux_core_lock(m);
	if (!m->has_ended)
		count = socket_count_unsent(stream_fd(m->stream));
	mux_core_unlock(m);
	/* Fewer bytes have room in any receiver. */
	return count < 0 ? size > STAGING_SIZE : count > 0;
}
