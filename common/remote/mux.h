/*
 * mux: one connection to a server, shared by the threads of a process.
 *
 * A request is put together in the sender's turn: mux_become_sender() waits for it, mux_send() gives the whole frame to the
 * kernel and ends it. Replies are matched by tag: any number of calls may wait at a time, each for its own
 * reply. No thread belongs to the connection: of those that wait, one drives it, reading for all; when
 * it has what it came for, another takes over. Nobody holds the mutex while it sleeps, so a thread that waits for
 * a lock holds up no other. A sender whom the socket keeps waiting reads, too, if nobody else does: two ends
 * that both have much to say cannot block each other.
 *
 * A request that is answered only when it fails (mux_begin_one_way()) is sent for a struct mux_failure, in which the
 * failure is found after any later call.
 *
 * The server is trusted with content, not with lengths: a reply that nobody asked for, one that is
 * larger than its caller allowed, and a failure with a body end the connection with -EPROTO. A connection
 * that has ended, for whatever reason, is shut down at once (so that the server gives up our locks) and stays
 * ended: all who wait are told why, and every later mux_become_sender() says -ENOTCONN.
 *
 * The memory of replies is wiped when it is given back.
 */
#ifndef COMMON_REMOTE_MUX_H
#define COMMON_REMOTE_MUX_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/wire.h"

struct mux;
struct stream;

enum { MUX_SMALL = 64 }; /* bytes; a reply of this size or less needs no buffer */

/* One request and its reply; the caller's storage, filled by mux_begin_call(). */
struct mux_call {
	struct wire_reader reply; /* its body, once mux_wait() said 0; valid until mux_end_call() */

	/* The connection's own. */
	TAILQ_ENTRY(mux_call) link;
	pthread_cond_t woken;
	uint16_t tag;
	uint32_t reply_most;
	bool is_waiting; /* its thread sleeps on woken */
	bool is_done;
	int status; /* when done: 0 or a negative errno */
	struct buf body;
	uint8_t small[MUX_SMALL];
};

/* Where the failure of one-way requests is recorded; the caller's storage, zeros to begin with. */
struct mux_failure {
	bool is_registered;
	uint16_t tag;
	int error; /* see mux_failure_take() */
	bool is_reported;
};

/*
 * A connection over s, which it owns from then on, its handshake not yet done. Frames have no tags until
 * mux_use_tags(); replies then come in the order of the requests. Returns 0 or -ENOMEM (s stays the caller's).
 */
int mux_create(struct mux **out, struct stream *s);

/* Takes NULL. Closes the connection and wipes; there must be no calls. */
void mux_destroy(struct mux *m);

/* Limits all waiting, until it is told otherwise: nanoseconds of CLOCK_MONOTONIC, CLOCK_NEVER at first. */
void mux_set_deadline(struct mux *m, uint64_t deadline);

/* Does the handshake. Before the connection is shared. -ETIMEDOUT, or see stream_handshake(). */
int mux_handshake(struct mux *m);

/* HELLO was agreed to: frames carry tags from now on. There must be no calls. */
void mux_use_tags(struct mux *m);

/* Gives f a tag. Returns 0, -EMFILE or -ENOMEM. */
int mux_failure_register(struct mux *m, struct mux_failure *f);

/* Takes it back, once a later request was answered or the connection has ended. */
void mux_failure_unregister(struct mux *m, struct mux_failure *f);

/*
 * The failure that is recorded, a negative errno, which is then forgotten; 0 when there is none. *was_reported: whether
 * mux_failure_report() returned it before.
 */
int mux_failure_take(struct mux *m, struct mux_failure *f, bool *was_reported);

/* The same for who cannot do anything about it: reported once, and it stays recorded. */
int mux_failure_report(struct mux *m, struct mux_failure *f);

/*
 * Waits for the sender's turn, at most until deadline (CLOCK_NEVER: as long as it takes). Returns 0, -ETIMEDOUT, or
 * -ENOTCONN when the connection has ended; the turn is the caller's only with 0, and ends with mux_send().
 */
int mux_become_sender(struct mux *m, uint64_t deadline);

/*
 * In the turn, begins a request that is answered, by a body of at most reply_most bytes: operation op with
 * body_size bytes, which must then be put, all of them. c is the connection's until mux_end_call().
 */
void mux_begin_call(struct mux *m, struct mux_call *c, uint32_t op, uint64_t body_size,
    uint32_t reply_most);

/* The same for a request that is answered only when it fails. */
void mux_begin_one_way(struct mux *m, const struct mux_failure *f, uint32_t op, uint64_t body_size);

/*
 * Puts bytes of the body. What is small is collected, what is large is written from where it is and
 * must not change before mux_send() returns. A failure is told by mux_send().
 */
void mux_put(struct mux *m, const void *bytes, size_t size);
void mux_put_u8(struct mux *m, uint8_t value);
void mux_put_u32(struct mux *m, uint32_t value);
void mux_put_u64(struct mux *m, uint64_t value);

/* Ends the turn. Returns 0 when the kernel has all of the request; else the connection has ended, and with what. */
int mux_send(struct mux *m);

/*
 * Waits for the reply to c until deadline. Returns 0 with c->reply, the negative errno that the server answered
 * with, one with which the connection has ended (mux_has_ended() tells which), or -ETIMEDOUT: c is then still
 * the connection's, to be waited for again, until it is answered or the connection has ended.
 */
int mux_wait(struct mux *m, struct mux_call *c, uint64_t deadline);

/* Gives c and its reply back. It was answered, or the connection has ended. */
void mux_end_call(struct mux *m, struct mux_call *c);

/* True when c was answered. */
bool mux_is_answered(struct mux *m, const struct mux_call *c);

/* Ends the connection: for a reply whose body was not as it must be, or for silence. Returns error. */
int mux_abort(struct mux *m, int error);

/* False when the connection has ended. Looks at the socket, unless somebody else does. */
bool mux_is_alive(struct mux *m);

/* The same without looking. */
bool mux_has_ended(struct mux *m);

/* Why the connection has ended, a sentence of TLS; "" when it has not or TLS had no part in it. Valid as long as m. */
const char *mux_reason(struct mux *m);

/*
 * For fork(2). Between prepare and one of the others nobody else is in the connection, but for those asleep in poll(2).
 * child closes the inherited socket, without a byte to the parent's server, and forgets the calls of threads that are
 * not here: the connection has then ended. is_prepared false: prepare was not called, and anybody may have had the
 * mutex.
 */
void mux_fork_prepare(struct mux *m);
void mux_fork_parent(struct mux *m);
void mux_fork_child(struct mux *m, bool is_prepared);

#endif
