/*
 * conn: the connections of a daemon: sockets on one side, sessions of the core on the other.
 *
 * A connection is a TLS handshake at first (with a deadline of CONN_HANDSHAKE_MS) and has a session
 * once that is done. It ends when the peer ends it, when the session is over, or when the daemon
 * stops; an end that is somebody's fault gets one log line with the peer and the reason.
 *
 * When writing fails, what the peer had sent before is still read and executed to its end: a one-way
 * RELEASE in the socket counts. When all places are taken, a newcomer gets the place of the oldest
 * connection that has not finished its handshake, and is turned away if there is none.
 */
#ifndef COMMON_SERVER_CONN_H
#define COMMON_SERVER_CONN_H

#include <bsd/sys/queue.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/server/loop.h"

struct server;
struct tls_context;
struct conn;

enum { CONN_HANDSHAKE_MS = 10 * 1000, CONN_READ_SIZE = 64 * 1024 };

TAILQ_HEAD(conn_list, conn);

struct conn_table {
	struct server *core;
	struct loop *loop;
	struct tls_context *tls; /* NULL: plaintext; may be replaced at any time */
	uint32_t limit;          /* connections */
	uint32_t count;
	uint32_t count_peak;          /* of count, since memory was last given back */
	uint32_t ended;               /* connections, since then */
	struct conn_list handshaking; /* oldest first */
	struct conn_list serving;
	struct conn_list again; /* have input that the socket no longer shows */
	struct timer_queue timers;
	uint64_t now;                    /* set by the daemon with the core's time */
	uint8_t scratch[CONN_READ_SIZE]; /* what is read, before it is fed; wiped at the end */
};

/* No connections. The pointers in t are the caller's and outlive it. */
void conn_table_init(struct conn_table *t);

/* Closes all connections. */
void conn_table_fini(struct conn_table *t);

/* Takes over an accepted socket, or closes it when there is no place. */
void conn_accept(struct conn_table *t, int fd);

/* Sends what the core has to say; after every event. */
void conn_flush_ready(struct conn_table *t);

/* True when a connection has input that no event will tell: TLS has read it already. */
bool conn_has_more(const struct conn_table *t);

/* Reads and executes such input, from each of these connections some. */
void conn_read_more(struct conn_table *t);

#endif
