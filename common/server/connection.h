/*
 * connection: the connections of a daemon: sockets on one side, sessions of the core on the other.
 *
 * A connection first completes its TLS handshake, within PROTOCOL_HANDSHAKE_MS, and then has a
 * session. It ends when the peer ends it, when the session is over, or when the daemon stops. An
 * end that is an error gets one log line with the peer and the reason.
 *
 * A connection is a task: when its socket is ready, or its session has work, it waits for its turn
 * in the queue of its account. In a turn it reads, executes and writes, as long as the budget
 * lasts. The account is that of the peer's address until the handshake tells its name.
 *
 * When writing fails, all requests that the peer had sent before are still read and executed: a
 * one-way RELEASE in the socket counts. When a peer has too many unfinished handshakes, a new one
 * replaces its oldest; other peers' stay.
 *
 * The certificate of a connection is looked up in the revocation lists when its handshake is
 * complete, and when other lists come: connection_end_revoked().
 *
 * The host carries the bytes: it can cut, delay and refuse connections, and read and change those
 * without TLS.
 */
#ifndef COMMON_SERVER_CONNECTION_H
#define COMMON_SERVER_CONNECTION_H

#include <bsd/sys/queue.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/server/loop.h"

struct server;
struct tls_context;
struct connection;

enum { CONNECTION_READ_SIZE = 64 * 1024 };

TAILQ_HEAD(connection_list, connection);

struct connection_table {
	struct server *core;
	struct loop *loop;
	struct tls_context *tls; /* NULL: plaintext; may be replaced at any time */
	const char *operators;   /* see operators.h; NULL: there are none */
	uint32_t count;
	struct connection_list handshaking; /* oldest first */
	struct connection_list serving;
	struct timer_queue timers;
	uint64_t now; /* set by the owner, with the time of the core */

	/* Bytes on their way to a session; wiped at the end. */
	uint8_t read_buffer[CONNECTION_READ_SIZE];
};

/* No connections. The caller sets core, loop, tls and operators, and owns what they point to. */
void connection_table_init(struct connection_table *t);

/* Closes all connections. */
void connection_table_fini(struct connection_table *t);

/* Takes over an accepted socket; closes it when there is no place for it. */
void connection_accept(struct connection_table *t, int fd);

/*
 * Ends the connections whose certificates are revoked now (revocations.h), each in a turn of its
 * own. Returns their number.
 */
uint32_t connection_end_revoked(struct connection_table *t);

/* Adds the connections whose sessions need a turn to the schedule. */
void connection_schedule_ready(struct connection_table *t);

#endif
