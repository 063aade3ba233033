#include "common/remote/mux_core.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/stream.h"

#define SILENT "the server did not answer in time, the connection was closed"

void
mux_core_lock(struct mux *m)
{
	(void)pthread_mutex_lock(&m->mutex);
}

void
mux_core_unlock(struct mux *m)
{
	(void)pthread_mutex_unlock(&m->mutex);
}

static void
close_stream(struct mux *m)
{
	if (m->pollers > 0)
		return;
	stream_destroy(m->stream);
	m->stream = NULL;
}

int
mux_core_end(struct mux *m, int error)
{
	struct mux_call *c;

	/* The caller sees one error for a server that went away. */
	if (error == -EPIPE || error == 0)
		error = -ECONNRESET;
	if (m->has_ended)
		return error;
	m->has_ended = true;
	m->ended_at = clock_now();
	/* Only the caller whose deadline has passed gets ETIMEDOUT. */
	m->error = error == -ETIMEDOUT ? -ECONNRESET : error;
	(void)snprintf(m->reason, sizeof m->reason, "%s",
	    error == -ETIMEDOUT ? SILENT : stream_reason(m->stream));
	stream_abort(m->stream);
	close_stream(m);
	TAILQ_FOREACH(c, &m->calls, link)
		wakeup_wake(&c->woken);
	(void)pthread_cond_broadcast(&m->sender_done);
	return error;
}

void
mux_core_moved(struct mux *m, size_t size)
{
	uint64_t moved = atomic_load_explicit(&m->moved, memory_order_relaxed) + size;

	atomic_store_explicit(&m->moved, moved, memory_order_relaxed);
}

uint64_t
mux_core_limit(const struct mux *m, struct mux_limit limit)
{
	uint64_t ms;

	if (limit.is_exact || limit.until == CLOCK_NEVER)
		return limit.until;
	ms = (m->moved - limit.moved) * 1000 / SIZE_MIB;
	return clock_after_ms(limit.until, ms);
}

short
mux_core_read_events(const struct mux *m)
{
	return stream_read_wants_write(m->stream) ? POLLOUT : POLLIN;
}

short
mux_core_write_events(const struct mux *m)
{
	return stream_write_wants_write(m->stream) ? POLLOUT : POLLIN;
}

/* The timeout for poll(2): exact, unless the deadline is far away. */
static int
poll_timeout(uint64_t deadline)
{
	enum { FAR_MS = 1000 };
	int timeout = clock_poll_timeout(clock_coarse(), deadline);

	if (timeout >= 0 && timeout < FAR_MS)
		timeout = clock_poll_timeout(clock_now(), deadline);
	return timeout;
}

/* A wait goes on after a signal. Returns 0, -ETIMEDOUT, or another error of poll(2). */
static int
poll_through(struct pollfd *p, uint64_t deadline)
{
	int n;

	do
		n = poll(p, 1, poll_timeout(deadline));
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

int
mux_core_poll(struct mux *m, short events, uint64_t deadline, short *ready, struct eintr *e)
{
	struct pollfd p = { .fd = stream_fd(m->stream), .events = events };
	int error;

	m->pollers++;
	mux_core_unlock(m);
	error = e != NULL ? eintr_poll(e, &p, deadline) : poll_through(&p, deadline);
	mux_core_lock(m);
	m->pollers--;
	if (m->has_ended)
		close_stream(m);
	*ready = p.revents;
	return error;
}

static bool
is_ready(const struct mux *m, short events)
{
	struct pollfd p = { .fd = stream_fd(m->stream), .events = events };

	return poll(&p, 1, 0) == 1;
}

bool
mux_core_is_readable(const struct mux *m)
{
	return is_ready(m, POLLIN);
}

bool
mux_core_is_writable(const struct mux *m)
{
	return is_ready(m, POLLOUT);
}
