/*
 * dial: connecting to a server: socket, TLS, HELLO and the fallback to version 1; one exchange of a
 * request and its reply, with a bounded wait; and errors in words.
 *
 * The server's certificate proves its identity. Plaintext is for unix sockets only, and gives
 * everything to the host.
 */
#ifndef COMMON_REMOTE_DIAL_H
#define COMMON_REMOTE_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/remote/mux.h"
#include "common/wire/addr.h"
#include "common/wire/protocol.h"

struct tls_context;

/* A server, and how to connect to it. The caller owns what its members point to. */
struct dial_target {
	const struct addr *addr;
	const char *name;        /* that the certificate must carry; NULL: over TCP, the host */
	struct tls_context *tls; /* NULL: plaintext */
	bool speaks_version_1;   /* if the server does not know HELLO */
	uint64_t silence;        /* of the connection: see mux.h */
};

/* The terms that both ends of a connection agreed on in HELLO. */
struct dial_terms {
	enum protocol_version version;
	bool has_leases;       /* wait for the reply to a release */
	bool has_extensions;   /* PROTOCOL 5.1 */
	uint32_t largest_body; /* version 2: of a reply */
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];
};

/*
 * Connects and agrees on the version, until that time. The session has no descriptors yet. Returns
 * 0; -EPERM (plaintext over TCP, or a name without TLS); -EPROTONOSUPPORT (a server of version 1,
 * and not speaks_version_1); -ETIMEDOUT; -ENOMEM; or see socket_connect(), stream_handshake(),
 * mux_wait(). Failures have words.
 */
int dial_connect(const struct dial_target *t, struct mux **out, struct dial_terms *terms,
    uint64_t until);

/* True for a connection that the server has ended, and not the network or this side. */
bool dial_was_closed(struct mux *mux);

/* Ends a connection that a forked child may have inherited: the server notices at once. */
void dial_end(struct mux *mux);

/*
 * Over a connection with extensions: tells the server which process uses it from now on. Waits for
 * no answer, and for room in the socket until that time at most; the next call on mux reports what
 * fails.
 */
void dial_tell_process(struct mux *mux, uint64_t until);

/*
 * Sends the request that was put and waits for the reply to c, whose body must have exactly size
 * bytes; at the limit the connection ends. Returns 0 or see mux_wait(). The caller calls
 * mux_end_call() whatever the result.
 */
int dial_exchange(struct mux *mux, struct mux_call *c, uint32_t size, struct mux_limit limit);

/*
 * Over a connection of version 2: waits until the server has executed all that was sent before, or
 * until the limit, at which the connection ends. Returns 0 or see mux_wait().
 */
int dial_ping(struct mux *mux, struct mux_limit limit);

/*
 * The same for a request of a few bytes whose reply may fail to come: at until the call is left to
 * the connection (mux_leave()), which with version 1 ends.
 */
int dial_exchange_in_time(struct mux *mux, struct mux_call *c, uint32_t size, uint64_t until);

/* NEW_FDTABLE: the session gets an empty table of descriptors. Returns 0 or see mux_wait(). */
int dial_new_table(struct mux *mux, uint64_t until);

/*
 * Puts the failure to connect into words; mux is NULL when there is no connection. Returns error.
 */
int dial_fail(const struct dial_target *t, struct mux *mux, int error);

/*
 * The failure of a call on mux, or to connect (mux is NULL), in words; error is a negative errno.
 * Returns a constant, mux_reason(), or text, which has size bytes.
 */
const char *dial_describe(struct mux *mux, int error, char *text, size_t size);

#endif
