/*
 * connection_core: a connection, which the files that make up connection share. Others include
 * connection.h. Each file calls only those above it in this list:
 *
 *	connection_core.c	its task and its end
 *	connection_serve.c	turns with a session: reads, executes, writes
 *	connection.c		accepting, the TLS handshake, the session's beginning
 */
#ifndef COMMON_SERVER_CONNECTION_CORE_H
#define COMMON_SERVER_CONNECTION_CORE_H

#include <stdbool.h>

#include "common/base/timer.h"
#include "common/server/connection.h"
#include "common/server/core/schedule.h"
#include "common/server/loop.h"
#include "common/wire/socket.h"

struct account;
struct budget;
struct session;
struct stream;

struct connection {
	struct watch watch;
	struct task task;
	struct connection_table *table;
	TAILQ_ENTRY(connection) link; /* in handshaking or serving, see is_serving */
	bool is_serving;
	bool is_readable;  /* the socket may have bytes, as far as is known */
	bool is_full;      /* the socket took no more bytes when the session's output was sent */
	bool input_ended;  /* the peer has closed its side, or reading failed */
	bool has_had_turn; /* since its timer was due */
	bool is_revoked;   /* its certificate: it ends in its next turn */
	struct stream *stream;
	struct account *account; /* a reference; of the address, then of the peer */
	struct session *session; /* once the handshake is done */
	struct timer timer;      /* the end of the handshake, or of the last replies */
	char peer[ADDR_TEXT_SIZE];
};

/* c waits for its turn. */
void connection_add_task(struct connection *c);

/* c leaves the handshake: for a session, or for good. */
void connection_leave_handshake(struct connection *c);

/* Ends c and its session, which releases its locks; closes the socket. c is no longer valid. */
void connection_destroy(struct connection *c);

/* The same, after TLS's goodbye. */
void connection_close(struct connection *c);

/* A turn of c, which has a session; c may end. */
void connection_serve(struct connection *c, const struct budget *b);

#endif
