#include "common/server/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/server/connection_core.h"
#include "common/server/core/account.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/server/operators.h"
#include "common/wire/protocol.h"
#include "common/wire/socket.h"
#include "common/wire/stream.h"

void
connection_table_init(struct connection_table *t)
{
	t->count = 0;
	TAILQ_INIT(&t->handshaking);
	TAILQ_INIT(&t->serving);
	timer_queue_init(&t->timers);
}

void
connection_table_fini(struct connection_table *t)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&t->handshaking)) != NULL)
		connection_destroy(c);
	while ((c = TAILQ_FIRST(&t->serving)) != NULL)
		connection_close(c);
	explicit_bzero(t->read_buffer, sizeof t->read_buffer);
}

/* The peer is known: its account takes the place of its address's. */
static int
identify(struct connection *c)
{
	const char *name = stream_peer_name(c->stream);
	char peer[ADDR_TEXT_SIZE], key[ADDR_TEXT_SIZE];
	struct account *account;
	int error;

	if (*name == '\0')
		return 0;
	snprintf(key, sizeof key, "cert %.200s", name);
	error = account_get(server_accounts(c->table->core), key, &account);
	if (error != 0)
		return error;
	account_put(c->account);
	c->account = account;
	snprintf(peer, sizeof peer, "%.100s (%.200s)", name, c->peer);
	memcpy(c->peer, peer, sizeof peer);
	return 0;
}

/* True when the peer's certificate has one name, and that is an operator's. */
static bool
is_operator(const struct connection *c)
{
	const char *name;
	size_t size;

	if (c->table->operators == NULL)
		return false;
	name = stream_peer_single_name(c->stream, &size);
	return name != NULL && operators_include(c->table->operators, name, size);
}

static const char revoked[] = "its certificate is revoked";

/* The handshake is complete. */
static void
begin_session(struct connection *c)
{
	struct connection_table *t = c->table;
	int error;

	connection_leave_handshake(c);
	TAILQ_INSERT_TAIL(&t->serving, c, link);
	c->is_serving = true;
	error = identify(c);
	/* Its certificate was verified before the last message of the handshake came. */
	if (error == 0 && stream_is_revoked(c->stream)) {
		account_warn(c->account, t->now, "%s: connection closed: %s", c->peer, revoked);
		connection_close(c);
		return;
	}
	if (error == 0)
		error = session_create(&c->session, t->core, c->peer, c->account);
	if (error != 0) {
		account_warn(c->account, t->now, "%s: refused: %s", c->peer,
		    error == -EUSERS ? "all sessions that it may have are taken (-c)" :
				       "no memory for a session");
		connection_destroy(c);
		return;
	}
	session_set_owner(c->session, c);
	if (is_operator(c))
		session_set_operator(c->session);
	log_debug("%s: connected, %s", c->peer, stream_description(c->stream));
	/* The first request may have come in one record with the end of the handshake. */
	c->is_readable = true;
	connection_add_task(c);
}

static void
continue_handshake(struct connection *c)
{
	int error = stream_handshake(c->stream);

	if (error == 0) {
		begin_session(c);
	} else if (error == -EAGAIN) {
		c->has_had_turn = true;
		loop_change(c->table->loop, &c->watch,
		    stream_read_wants_write(c->stream) ? EPOLLOUT : EPOLLIN);
		if (stream_is_paused(c->stream))
			connection_add_task(c);
	} else {
		account_warn(c->account, c->table->now, "%s: refused in the TLS handshake: %s",
		    c->peer, stream_reason(c->stream));
		connection_destroy(c);
	}
}

/* What the peer has sent in time may still lie in the socket: there is one more turn first. */
static void
handshake_timed_out(struct timer *timer)
{
	struct connection *c = container_of(timer, struct connection, timer);
	struct connection_table *t = c->table;

	if (!c->has_had_turn) {
		timer_arm(&t->timers, timer, t->now + 1, handshake_timed_out);
		connection_add_task(c);
		return;
	}
	account_warn(c->account, t->now, "%s: refused: no TLS handshake within %d s", c->peer,
	    PROTOCOL_HANDSHAKE_MS / 1000);
	connection_destroy(c);
}

/* The time for the handshake is up. */
static void
handshake_is_due(struct timer *timer)
{
	struct connection *c = container_of(timer, struct connection, timer);

	c->has_had_turn = false;
	handshake_timed_out(timer);
}

static void
run(struct task *task, const struct budget *b)
{
	struct connection *c = container_of(task, struct connection, task);

	if (c->is_revoked)
		connection_close(c);
	else if (c->is_serving)
		connection_serve(c, b);
	else
		continue_handshake(c);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct connection *c = container_of(w, struct connection, watch);

	uint32_t reads = EPOLLHUP | EPOLLERR |
	    (stream_read_wants_write(c->stream) ? EPOLLOUT : EPOLLIN);

	if ((events & reads) != 0 && !c->input_ended)
		c->is_readable = true;
	connection_add_task(c);
}

/* The oldest unfinished handshake of an account, or NULL. */
static struct connection *
oldest_handshake(struct connection_table *t, const struct account *account)
{
	struct connection *c;

	TAILQ_FOREACH(c, &t->handshaking, link)
		if (c->account == account)
			return c;
	return NULL;
}

/* Takes a place among the handshakes for one more of that account. Returns 0 or -EUSERS. */
static int
take_place(struct connection_table *t, struct account *account)
{
	struct connection *oldest;

	if (account_take(account, ACCOUNT_HANDSHAKES, 1) == 0)
		return 0;
	oldest = oldest_handshake(t, account);
	if (oldest == NULL)
		return -EUSERS;
	account_warn(account, t->now,
	    "%s: refused: its handshake is the oldest of the %lu unfinished ones of %s",
	    oldest->peer, (unsigned long)account->used[ACCOUNT_HANDSHAKES], account->name);
	connection_destroy(oldest);
	return account_take(account, ACCOUNT_HANDSHAKES, 1) == 0 ? 0 : -EUSERS;
}

/*
 * Takes a place for c, watches its socket and makes its stream, which owns the socket from then on.
 */
static int
prepare(struct connection *c)
{
	struct connection_table *t = c->table;
	int error = take_place(t, c->account);

	if (error != 0)
		return error;
	error = loop_add(t->loop, &c->watch);
	if (error == 0) {
		error = stream_create_accepted(&c->stream, c->watch.fd, t->tls);
		if (error != 0)
			loop_remove(t->loop, &c->watch);
	}
	if (error != 0)
		account_give(c->account, ACCOUNT_HANDSHAKES, 1);
	return error;
}

/* The peer cannot be served, for lack of a place or of memory. */
static void
refuse(struct connection *c, int error)
{
	account_warn(c->account, c->table->now, "%s: refused: %s", c->peer,
	    error == -EUSERS ? "too many peers are in the TLS handshake" : strerror(-error));
	account_put(c->account);
	socket_close(c->watch.fd);
	free(c);
}

/* A connection that is not yet prepared, with the account of its address; NULL without memory. */
static struct connection *
create(struct connection_table *t, int fd)
{
	struct connection *c = calloc(1, sizeof *c);
	char key[ADDR_TEXT_SIZE];

	if (c == NULL)
		return NULL;
	socket_peer_key(fd, key);
	if (account_get(server_accounts(t->core), key, &c->account) != 0) {
		free(c);
		return NULL;
	}
	socket_describe_peer(fd, c->peer);
	c->table = t;
	c->task.run = run;
	c->watch = (struct watch){ .fd = fd, .events = EPOLLIN, .ready = ready };
	return c;
}

void
connection_accept(struct connection_table *t, int fd)
{
	struct connection *c;
	int error;

	/* A reply just before that time has as long again: a holder loses its lock within 30 s. */
	socket_tune(fd, SOCKET_IDLE_MS);
	c = create(t, fd);
	if (c == NULL) {
		log_error("a connection was refused: no memory");
		socket_close(fd);
		return;
	}
	error = prepare(c);
	if (error != 0) {
		refuse(c, error);
		return;
	}
	t->count++;
	TAILQ_INSERT_TAIL(&t->handshaking, c, link);
	timer_arm(&t->timers, &c->timer, clock_after_ms(t->now, PROTOCOL_HANDSHAKE_MS),
	    handshake_is_due);
	connection_add_task(c);
}

uint32_t
connection_end_revoked(struct connection_table *t)
{
	struct connection *c;
	uint32_t count = 0;

	TAILQ_FOREACH(c, &t->serving, link) {
		if (c->is_revoked || !stream_is_revoked(c->stream))
			continue;
		c->is_revoked = true;
		/* It may be the session that asks for this, with requests behind. */
		session_refuse_more(c->session, revoked);
		connection_add_task(c);
		count++;
	}
	return count;
}

void
connection_schedule_ready(struct connection_table *t)
{
	struct session *s;

	while ((s = server_next_ready(t->core)) != NULL)
		connection_add_task(session_owner(s));
}
