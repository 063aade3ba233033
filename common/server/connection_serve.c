#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/size.h"
#include "common/server/connection_core.h"
#include "common/server/core/account.h"
#include "common/server/core/session.h"
#include "common/wire/protocol.h"
#include "common/wire/stream.h"

enum { TURN_BYTES = 256 * SIZE_KIB }; /* read and written in one turn */

/* Warns of a peer or host that breaks TLS; a peer that goes away is no reason for a warning. */
static void
log_read_failure(struct connection *c, int error)
{
	if (error == -EPROTO || error == -EACCES)
		account_warn(c->account, c->table->now, "%s: connection closed: %s", c->peer,
		    stream_reason(c->stream));
	else
		log_debug("%s: %s", c->peer, strerror(-error));
}

static void
end_input(struct connection *c)
{
	c->input_ended = true;
	c->is_readable = false;
	session_input_ended(c->session);
}

/* Reads once and executes what came. Returns how many bytes came. */
static size_t
read_some(struct connection *c, const struct budget *b)
{
	struct connection_table *t = c->table;
	size_t most;
	ssize_t n;

	if (!c->is_readable || !session_wants_input(c->session))
		return 0;
	most = session_input_most(c->session);
	if (most > sizeof t->read_buffer)
		most = sizeof t->read_buffer;
	n = stream_read(c->stream, t->read_buffer, most);
	if (n > 0) {
		session_feed(c->session, t->read_buffer, (size_t)n, b);
		c->is_readable = stream_may_have_more(c->stream);
		return (size_t)n;
	}
	if (n == -EAGAIN) {
		c->is_readable = stream_is_paused(c->stream);
		return 0;
	}
	if (n < 0)
		log_read_failure(c, (int)n);
	end_input(c);
	return 0;
}

/* Sends output, as much as the socket takes and most allows. Returns how many bytes. */
static size_t
write_some(struct connection *c, size_t most)
{
	size_t size, written = 0;
	const uint8_t *data;
	ssize_t n;

	c->is_full = false;
	while (written < most && (size = session_output(c->session, &data)) > 0) {
		n = stream_write(c->stream, data, size);
		c->is_full = n == -EAGAIN;
		if (c->is_full)
			break;
		if (n < 0) {
			/* The peer's last requests are still in the socket: read them all. */
			session_write_failed(c->session);
			c->is_readable = !c->input_ended;
			break;
		}
		session_sent(c->session, (size_t)n);
		written += (size_t)n;
	}
	return written;
}

/* Watches the socket for what the session and its unsent output need. */
static void
update_events(struct connection *c)
{
	const uint8_t *data;
	uint32_t events = 0;

	if (!c->input_ended && session_wants_input(c->session))
		events |= stream_read_wants_write(c->stream) ? EPOLLOUT : EPOLLIN;
	if (session_output(c->session, &data) > 0)
		events |= stream_write_wants_write(c->stream) ? EPOLLOUT : EPOLLIN;
	loop_change(c->table->loop, &c->watch, events);
}

static bool
can_go_on(const struct connection *c)
{
	const uint8_t *data;

	if (session_output(c->session, &data) > 0 && !c->is_full)
		return true;
	return session_has_work(c->session) || (c->is_readable && session_wants_input(c->session));
}

static void
goodbye_timed_out(struct timer *timer)
{
	connection_close(container_of(timer, struct connection, timer));
}

/* After a turn: closes the connection, or says when it has its next turn. */
static void
conclude(struct connection *c)
{
	struct connection_table *t = c->table;
	const uint8_t *data;

	if (session_is_over(c->session)) {
		if (session_output(c->session, &data) == 0) {
			connection_close(c);
			return;
		}
		if (!c->timer.armed)
			timer_arm(&t->timers, &c->timer,
			    clock_after_ms(t->now, PROTOCOL_GOODBYE_MS), goodbye_timed_out);
	}
	/* A session that is over may still be publishing. */
	if (can_go_on(c))
		connection_add_task(c);
	update_events(c);
}

void
connection_serve(struct connection *c, const struct budget *b)
{
	size_t bytes = 0;

	if (session_must_look(c->session))
		c->is_readable = !c->input_ended;
	for (;;) {
		bytes += read_some(c, b);
		if (session_has_work(c->session))
			session_work(c->session, b);
		bytes += write_some(c, TURN_BYTES);
		if (!can_go_on(c) || bytes >= TURN_BYTES || budget_is_spent(b))
			break;
	}
	session_turn_ended(c->session);
	conclude(c);
}
