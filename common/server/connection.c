#include "common/server/connection.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/wire/protocol.h"
#include "common/wire/socket.h"
#include "common/wire/stream.h"

enum {
	READS_AT_ONCE = 16, /* from one connection, before the next one is read */
	TRIM_AFTER = 64     /* ended connections */
};

struct connection {
	struct watch watch;
	struct connection_table *table;
	TAILQ_ENTRY(connection) link; /* in handshaking or serving, see is_serving */
	TAILQ_ENTRY(connection) pending_link;
	bool is_pending; /* in the list of that name */
	bool is_serving;
	bool input_ended; /* the peer has closed its side, or reading failed */
	bool is_drained;  /* the last read returned -EAGAIN */
	struct stream *stream;
	struct session *session; /* once the handshake is done */
	struct timer handshake;
	char peer[ADDR_TEXT_SIZE];
};

void
connection_table_init(struct connection_table *t)
{
	t->count = 0;
	TAILQ_INIT(&t->handshaking);
	TAILQ_INIT(&t->serving);
	TAILQ_INIT(&t->pending);
	timer_queue_init(&t->timers);
}

static void
set_pending(struct connection *c, bool pending)
{
	struct connection_table *t = c->table;

	if (c->is_pending == pending)
		return;
	c->is_pending = pending;
	if (pending)
		TAILQ_INSERT_TAIL(&t->pending, c, pending_link);
	else
		TAILQ_REMOVE(&t->pending, c, pending_link);
}

/*
 * Gives memory that many connections used back to the system, once few are left. free(3) alone
 * keeps the pages below a block that is in use, so the effect of an attack by a thousand peers
 * would last.
 */
static void
trim_memory(struct connection_table *t)
{
	if (++t->ended < TRIM_AFTER && t->count > t->count_peak / 2)
		return;
	t->ended = 0;
	t->count_peak = t->count;
	malloc_trim(0);
}

/* Ends the session, which releases its locks, and closes the socket. */
static void
destroy(struct connection *c)
{
	struct connection_table *t = c->table;

	timer_disarm(&t->timers, &c->handshake);
	set_pending(c, false);
	TAILQ_REMOVE(c->is_serving ? &t->serving : &t->handshaking, c, link);
	t->count--;
	loop_remove(t->loop, &c->watch);
	session_destroy(c->session);
	stream_destroy(c->stream);
	free(c);
	trim_memory(t);
}

static void
close_connection(struct connection *c)
{
	log_debug("%s: disconnected", c->peer);
	stream_shutdown(c->stream);
	destroy(c);
}

void
connection_table_fini(struct connection_table *t)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&t->handshaking)) != NULL)
		destroy(c);
	while ((c = TAILQ_FIRST(&t->serving)) != NULL)
		close_connection(c);
	explicit_bzero(t->read_buffer, sizeof t->read_buffer);
}

/* Watches the socket for what the session and its unsent output need. */
static void
update_events(struct connection *c)
{
	const uint8_t *data;
	uint32_t events = 0;

	if (!c->input_ended && session_wants_input(c->session))
		events |= EPOLLIN;
	if (session_output(c->session, &data) > 0)
		events |= stream_wants_write(c->stream) ? EPOLLOUT : EPOLLIN;
	loop_change(c->table->loop, &c->watch, events);
}

/* Sends the output. May close the connection. */
static void
flush(struct connection *c)
{
	const uint8_t *data;
	size_t size;
	ssize_t n;

	while ((size = session_output(c->session, &data)) > 0) {
		n = stream_write(c->stream, data, size);
		if (n == -EAGAIN)
			break;
		if (n < 0) {
			/* The peer's last requests are still in the socket: read them all. */
			session_write_failed(c->session);
			set_pending(c, !c->input_ended);
			size = 0;
			break;
		}
		session_sent(c->session, (size_t)n);
	}
	if (size == 0 && (session_is_over(c->session) || c->input_ended)) {
		close_connection(c);
		return;
	}
	/* After -EAGAIN only half a TLS record is pending: the socket has to bring the rest. */
	if (!c->is_drained && stream_has_pending(c->stream) && session_wants_input(c->session))
		set_pending(c, true);
	update_events(c);
}

/* Warns of a peer or host that breaks TLS; a peer that goes away is no reason for a warning. */
static void
log_read_failure(struct connection *c, int error)
{
	if (error == -EPROTO || error == -EACCES)
		log_warning("%s: connection closed: %s", c->peer, stream_reason(c->stream));
	else
		log_debug("%s: %s", c->peer, strerror(-error));
}

/* Reads and executes up to READS_AT_ONCE times, then sends. May close the connection. */
static void
read_input(struct connection *c)
{
	struct connection_table *t = c->table;
	ssize_t n = -EAGAIN;
	int i;

	set_pending(c, false);
	for (i = 0; i < READS_AT_ONCE && session_wants_input(c->session); i++) {
		n = stream_read(c->stream, t->read_buffer, sizeof t->read_buffer);
		if (n <= 0)
			break;
		session_feed(c->session, t->read_buffer, (size_t)n);
		if (!stream_has_pending(c->stream) && (size_t)n < sizeof t->read_buffer)
			break;
	}
	c->is_drained = n == -EAGAIN;
	if (n == 0) {
		c->input_ended = true;
	} else if (n < 0 && n != -EAGAIN) {
		log_read_failure(c, (int)n);
		c->input_ended = true;
	}
	flush(c);
}

/* The handshake is complete: the name of the peer is known. */
static void
begin_session(struct connection *c)
{
	struct connection_table *t = c->table;
	const char *name = stream_peer_name(c->stream);
	char peer[ADDR_TEXT_SIZE];

	timer_disarm(&t->timers, &c->handshake);
	if (*name != '\0') {
		snprintf(peer, sizeof peer, "%.100s (%.200s)", name, c->peer);
		memcpy(c->peer, peer, sizeof peer);
	}
	if (session_create(&c->session, t->core, c->peer) != 0) {
		log_error("%s: connection closed: no memory for a session", c->peer);
		destroy(c);
		return;
	}
	session_set_owner(c->session, c);
	TAILQ_REMOVE(&t->handshaking, c, link);
	TAILQ_INSERT_TAIL(&t->serving, c, link);
	c->is_serving = true;
	log_debug("%s: connected, %s", c->peer, stream_description(c->stream));
	/* The first request may have come in one record with the end of the handshake. */
	read_input(c);
}

static void
continue_handshake(struct connection *c)
{
	int error = stream_handshake(c->stream);

	if (error == 0) {
		begin_session(c);
	} else if (error == -EAGAIN) {
		loop_change(c->table->loop, &c->watch,
		    stream_wants_write(c->stream) ? EPOLLOUT : EPOLLIN);
	} else {
		log_warning("%s: refused in the TLS handshake: %s", c->peer,
		    stream_reason(c->stream));
		destroy(c);
	}
}

static void
handshake_timed_out(struct timer *timer)
{
	struct connection *c = container_of(timer, struct connection, handshake);

	log_warning("%s: refused: no TLS handshake within %d s", c->peer,
	    PROTOCOL_HANDSHAKE_MS / 1000);
	destroy(c);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);

	if (!c->is_serving)
		continue_handshake(c);
	else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && session_wants_input(c->session))
		read_input(c);
	else
		flush(c);
}

/* True when there is a place for one more connection, or the oldest handshake was closed for it. */
static bool
free_place(struct connection_table *t)
{
	struct connection *oldest = TAILQ_FIRST(&t->handshaking);

	if (t->count < t->limit)
		return true;
	if (oldest == NULL)
		return false;
	log_warning(
	    "%s: refused: its handshake is the oldest of those unfinished, and all %lu places "
	    "are taken (-c)",
	    oldest->peer, (unsigned long)t->limit);
	destroy(oldest);
	return true;
}

void
connection_accept(struct connection_table *t, int fd)
{
	struct connection *c;
	int error;

	c = calloc(1, sizeof *c);
	if (c == NULL) {
		log_error("a connection was refused: no memory");
		close(fd);
		return;
	}
	socket_describe_peer(fd, c->peer);
	error = free_place(t) ? stream_create(&c->stream, fd, t->tls, NULL) : -EUSERS;
	if (error != 0) {
		log_warning("%s: refused: %s", c->peer,
		    error == -EUSERS ? "all places are taken (-c)" : strerror(-error));
		close(fd);
		free(c);
		return;
	}
	socket_tune(fd);
	c->table = t;
	c->watch = (struct watch){ .fd = fd, .events = EPOLLIN, .ready = ready };
	error = loop_add(t->loop, &c->watch);
	if (error != 0) {
		log_error("%s: refused: %s", c->peer, strerror(-error));
		stream_destroy(c->stream);
		free(c);
		return;
	}
	if (++t->count > t->count_peak)
		t->count_peak = t->count;
	TAILQ_INSERT_TAIL(&t->handshaking, c, link);
	timer_arm(&t->timers, &c->handshake, clock_after_ms(t->now, PROTOCOL_HANDSHAKE_MS),
	    handshake_timed_out);
	continue_handshake(c);
}

void
connection_flush_ready(struct connection_table *t)
{
	struct session *s;

	while ((s = server_next_ready(t->core)) != NULL)
		flush(session_owner(s));
}

void
connection_read_pending(struct connection_table *t)
{
	struct connection *c, *last = TAILQ_LAST(&t->pending, connection_list);

	/* Read each connection that is in the list now once; it may come back at the end. */
	while ((c = TAILQ_FIRST(&t->pending)) != NULL) {
		read_input(c);
		if (c == last)
			break;
	}
}

bool
connection_has_pending(const struct connection_table *t)
{
	return !TAILQ_EMPTY(&t->pending);
}
