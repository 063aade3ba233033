#include "common/remote/mux_core.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/cond.h"
#include "common/wire/stream.h"

/*
 * Sleeps until the socket takes bytes again, and drives meanwhile if there is no driver. If there
 * is one, it may stop while this thread sleeps and leave no other thread to drive: so check again
 * soon.
 */
static int
wait_writable(struct mux *m)
{
	bool drives = !m->has_driver;
	uint64_t deadline = m->deadline, soon = clock_after_ms(clock_now(), RECHECK_MS);
	short reads = drives ? mux_core_read_events(m) : 0, ready = reads;
	int error = 0;

	if (!drives && soon < deadline)
		deadline = soon;
	m->has_driver = true;
	if (!drives || !stream_may_have_more(m->stream))
		error = mux_core_poll(m, mux_core_write_events(m) | reads, deadline, &ready);
	if (!m->has_ended && error == 0 && (ready & reads) != 0)
		error = mux_input_read(m);
	if (drives) {
		m->has_driver = false;
		mux_input_wake_driver(m);
	}
	if (m->has_ended)
		return m->error;
	if (error == -ETIMEDOUT && deadline == soon)
		return 0;
	return error < 0 ? mux_core_end(m, error) : 0;
}

static void
write_all(struct mux *m, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	mux_core_lock(m);
	while (size > 0 && !m->has_ended) {
		n = stream_write(m->stream, bytes, size);
		if (n >= 0) {
			bytes += n;
			size -= (size_t)n;
		} else if (n != -EAGAIN) {
			(void)mux_core_end(m, (int)n);
		} else if (wait_writable(m) != 0) {
			break;
		}
	}
	mux_core_unlock(m);
}

int
mux_become_sender(struct mux *m, uint64_t deadline)
{
	int error = 0;

	mux_core_lock(m);
	if (m->deadline < deadline)
		deadline = m->deadline;
	while (m->is_sending && !m->has_ended && error == 0)
		if (!cond_wait_until(&m->sender_done, &m->mutex, deadline))
			error = -ETIMEDOUT;
	if (m->has_ended)
		error = -ENOTCONN;
	else if (!m->is_sending)
		error = 0;
	if (error == 0)
		m->is_sending = true;
	mux_core_unlock(m);
	return error;
}

/* A tag that no call waits for. */
static uint16_t
draw_tag(struct mux *m)
{
	do
		m->last_tag = m->last_tag + 1 < ONE_WAY_TAG ? m->last_tag + 1 : 1;
	while (m->has_tags && mux_input_find(m, m->last_tag) != NULL);
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
mux_begin_call(struct mux *m, struct mux_call *c, uint32_t op, uint64_t body_size,
    uint32_t reply_most)
{
	c->is_waiting = c->is_done = false;
	c->reply_most = reply_most;
	c->body = (struct buf){ 0 };
	cond_init(&c->woken);
	mux_core_lock(m);
	c->tag = draw_tag(m);
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
			/* Whole records are not copied. */
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
	mux_core_lock(m);
	m->is_sending = false;
	(void)pthread_cond_signal(&m->sender_done);
	error = m->has_ended ? m->error : 0;
	mux_core_unlock(m);
	return error;
}
