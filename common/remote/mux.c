#include "common/remote/mux_core.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/cond.h"
#include "common/base/mutex.h"
#include "common/wire/stream.h"

int
mux_create(struct mux **out, struct stream *s, uint64_t silence)
{
	struct mux *m = calloc(1, sizeof *m);

	if (m == NULL)
		return -ENOMEM;
	m->stream = s;
	m->silence = silence;
	m->replies_since_large = KEEP_REPLIES;
	(void)pthread_mutex_init(&m->mutex, NULL);
	cond_init(&m->sender_done);
	TAILQ_INIT(&m->calls);
	TAILQ_INIT(&m->orphans);
	*out = m;
	return 0;
}

void
mux_destroy(struct mux *m)
{
	if (m == NULL)
		return;
	assert(TAILQ_EMPTY(&m->calls) && m->pollers == 0);
	stream_destroy(m->stream);
	mux_orphan_forget(m);
	buf_fini(&m->spare);
	free(m->failures);
	/* In a forked child, destroying sender_done would wait for threads that are not there. */
	(void)pthread_mutex_destroy(&m->mutex);
	explicit_bzero(m, sizeof *m);
	free(m);
}

int
mux_handshake(struct mux *m, uint64_t until)
{
	short ready;
	int error;

	mux_core_lock(m);
	while ((error = stream_handshake(m->stream)) == -EAGAIN) {
		if (!stream_is_paused(m->stream))
			error = mux_core_poll(m, mux_core_read_events(m), until, &ready, NULL);
		else
			error = clock_now() < until ? 0 : -ETIMEDOUT;
		if (error != 0)
			break;
	}
	if (error != 0)
		error = mux_core_end(m, error);
	mux_core_unlock(m);
	return error;
}

struct mux_limit
mux_limit(struct mux *m, uint64_t until)
{
	return (struct mux_limit){ until, atomic_load_explicit(&m->moved, memory_order_relaxed),
		false };
}

void
mux_use_tags(struct mux *m)
{
	mux_core_lock(m);
	m->has_tags = true;
	mux_core_unlock(m);
}

/* Drives until that time: also while bytes for others come without a pause. */
static int
drive_once(struct mux *m, const struct mux_call *c, uint64_t until, struct eintr *e)
{
	int error = mux_input_drive(m, c->owner != NULL, until, e);

	if (error == 0 && !c->is_done && clock_now() >= until)
		error = -ETIMEDOUT;
	return error;
}

/* Sleeps until something has happened that concerns c, or until that time. With the mutex. */
static int
wait_once(struct mux *m, struct mux_call *c, uint64_t until, struct eintr *e)
{
	int error;

	if (!m->has_driver)
		return drive_once(m, c, until, e);
	c->is_waiting = true;
	error = wakeup_sleep(&c->woken, &m->mutex, e, until);
	c->is_waiting = false;
	return error;
}

/*
 * The result of a wait, which began with a connection or without, for no longer than that time;
 * error is that of its last sleep.
 */
static int
result_of(struct mux *m, const struct mux_call *c, bool was_connected, uint64_t until, int error)
{
	mux_input_wake_driver(m);
	if (c->is_done)
		return c->status;
	/* A thread that wakes late may find that the kernel has given up the connection, too. */
	if (m->has_ended && was_connected && m->ended_at >= until)
		return -ETIMEDOUT;
	return m->has_ended ? m->error : error;
}

/* With the mutex. */
static int
wait_until(struct mux *m, struct mux_call *c, struct mux_limit limit)
{
	bool was_connected = !m->has_ended;
	uint64_t until = CLOCK_NEVER;
	int error = 0;

	while (!c->is_done && !m->has_ended && error != -ETIMEDOUT) {
		until = mux_core_limit(m, limit);
		error = wait_once(m, c, until, NULL);
		if (mux_core_limit(m, limit) > until)
			error = 0;
	}
	return result_of(m, c, was_connected, until, error);
}

int
mux_wait(struct mux *m, struct mux_call *c, struct mux_limit limit)
{
	int error;

	mux_core_lock(m);
	error = wait_until(m, c, limit);
	mux_core_unlock(m);
	return error;
}

int
mux_wait_in_time(struct mux *m, struct mux_call *c, uint64_t until, struct mux_limit limit)
{
	int error;

	mux_core_lock(m);
	if (until < mux_core_limit(m, limit))
		error = wait_until(m, c, mux_limit_exact(until));
	else
		error = wait_until(m, c, limit);
	if (error == -ETIMEDOUT && clock_now() >= mux_core_limit(m, limit))
		error = mux_core_end(m, -ETIMEDOUT);
	mux_core_unlock(m);
	return error;
}

int
mux_wait_for_lock(struct mux *m, struct mux_call *c, const void *owner, uint64_t until,
    struct eintr *e)
{
	uint64_t begun = clock_coarse(), check = begun + m->silence / 3;
	bool was_connected;
	int error = 0;

	mux_core_lock(m);
	was_connected = !m->has_ended;
	c->owner = owner;
	while (!c->is_done && !m->has_ended && error != -ETIMEDOUT && error != -EINTR) {
		error = wait_once(m, c, check < until ? check : until, e);
		if (error != -ETIMEDOUT || check >= until)
			continue;
		error = 0;
		check = mux_cancel_check(m, begun);
	}
	error = result_of(m, c, was_connected, until, error);
	mux_core_unlock(m);
	return error;
}

/* Keeps the buffer of a reply for the next; a large one only while large replies keep coming. */
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
mux_end_call(struct mux *m, struct mux_call *c)
{
	mux_core_lock(m);
	assert(c->is_done || m->has_ended);
	if (!c->is_done)
		TAILQ_REMOVE(&m->calls, c, link);
	if (m->incoming == c)
		m->incoming = NULL;
	keep_buffer(m, c);
	mux_core_unlock(m);
	explicit_bzero(c->small, sizeof c->small);
}

int
mux_abort(struct mux *m, int error)
{
	mux_core_lock(m);
	error = mux_core_end(m, error);
	mux_core_unlock(m);
	return error;
}

bool
mux_has_ended(struct mux *m)
{
	bool has_ended;

	mux_core_lock(m);
	has_ended = m->has_ended;
	mux_core_unlock(m);
	return has_ended;
}

/* Reads what has arrived unasked: the end of the connection, or failures of one-way requests. */
static void
read_unasked(struct mux *m)
{
	if (stream_may_have_more(m->stream) || mux_core_is_readable(m))
		(void)mux_input_read(m);
}

bool
mux_is_alive(struct mux *m)
{
	bool is_alive;

	mux_core_lock(m);
	if (!m->has_ended && !stream_is_intact(m->stream))
		(void)mux_core_end(m, -EBADF);
	if (!m->has_ended && !m->has_driver)
		read_unasked(m);
	is_alive = !m->has_ended;
	mux_core_unlock(m);
	return is_alive;
}

bool
mux_is_intact(struct mux *m)
{
	bool is_intact;

	mux_core_lock(m);
	is_intact = m->has_ended || stream_is_intact(m->stream);
	mux_core_unlock(m);
	return is_intact;
}

const char *
mux_reason(struct mux *m)
{
	return mux_has_ended(m) ? m->reason : "";
}

void
mux_fork_prepare(struct mux *m)
{
	mux_core_lock(m);
	/* A library OS would copy it for the child. */
	buf_trim(&m->spare, KEEP_SIZE);
}

void
mux_fork_parent(struct mux *m)
{
	mux_core_unlock(m);
}

void
mux_fork_child(struct mux *m, bool is_prepared)
{
	stream_destroy(m->stream);
	m->stream = NULL;
	m->has_ended = true;
	m->error = -ENOTCONN;
	m->pollers = 0;
	m->has_driver = m->is_sending = false;
	m->incoming = NULL;
	TAILQ_INIT(&m->calls);
	/* Without prepare the list may have been changing. */
	if (is_prepared)
		mux_orphan_forget(m);
	TAILQ_INIT(&m->orphans);
	m->orphan_count = 0;
	mutex_fork_child(&m->mutex, is_prepared);
}

void
mux_leave_to_other(struct mux *m)
{
	mux_fork_prepare(m);
	mux_fork_child(m, true);
}
