/*
 * conn: the connections of a daemon: sockets on one side, sessions of the core on the other.
 *
 * A connection is a TLS handshake at first (with a deadline of CONNECTION_HANDSHAKE_MS) and has a session
 * once that is done. It ends when the peer ends it, when the session is over, or when the daemon
 * stops; an end that is somebody's fault gets one log line with the peer and the reason.
 *
 * When writing fails, what the peer had sent before is still read and executed to its end: a one-way
 * RELEASE in the socket counts. When all places are taken, a newcomer gets the place of the oldest
 * connection that has not finished its handshake, and is turned away if there is none.
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

enum { CONNECTION_HANDSHAKE_MS = 10 * 1000, CONNECTION_READ_SIZE = 64 * 1024 };

TAILQ_HEAD(connection_list, connection);

struct connection_table {
	struct server *core;
	struct loop *loop;
	struct tls_context *tls; /* NULL: plaintext; may be replaced at any time */
	uint32_t limit;          /* connections */
	uint32_t count;
	uint32_t count_peak;                /* of count, since memory was last given back */
	uint32_t ended;                     /* connections, since then */
	struct connection_list handshaking; /* oldest first */
	struct connection_list serving;
	struct connection_list again; /* have input that the socket no longer shows */
	struct timer_queue timers;
	uint64_t now; /* set by the daemon with the core's time */
	uint8_t
	    scratch[CONNECTION_READ_SIZE]; /* what is read, before it is fed; wiped at the end */
};

/* No connections. The pointers in t are the caller's and outlive it. */
void connection_table_init(struct connection_table *t);

/* Closes all connections. */
void connection_table_fini(struct connection_table *t);

/* Takes over an accepted socket, or closes it when there is no place. */
void connection_accept(struct connection_table *t, int fd);

/* Sends what the core has to say; after every event. */
void connection_flush_ready(struct connection_table *t);

/* True when a connection has input that no event will tell: TLS has read it already. */
bool connection_has_more(const struct connection_table *t);

/* Reads and executes such input, from each of these connections some. */
void connection_read_more(struct connection_table *t);

#endif
