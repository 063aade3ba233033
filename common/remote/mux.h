/*
 * mux: one connection to a server, shared by the threads of a process.
 *
 * One thread at a time is the *sender*: mux_become_sender() waits until no other thread is,
 * mux_begin_call() or mux_begin_one_way() begins a request, and mux_send() gives the rest of the
 * frame to the kernel and ends the role. Replies are matched by tag: any number of calls may wait
 * at a time, each for its own reply.
 *
 * No thread belongs to the connection. One of the waiting threads, the *driver*, reads for all of
 * them; when it has its own reply, another waiting thread becomes the driver. No thread sleeps with
 * the mutex locked, so a thread that waits for a lock delays no other. While the socket takes no
 * bytes, the sender drives too if there is no driver: two ends that both have much to send cannot
 * block each other.
 *
 * Every wait has a limit (struct mux_limit). A server that answers nothing within it has gone: the
 * connection ends. A wait for a lock may be long: once nothing has been answered for a third of the
 * connection's *silence*, the waiting thread sends a *ping*, and without an answer within the rest
 * of it the connection ends. A thread that gives up its wait for a lock does not wait for the
 * server: mux_cancel() leaves the call to the connection, which sends its CANCEL and discards both
 * replies.
 *
 * A *one-way* request is answered only when it fails. Its failure is recorded in a struct
 * mux_failure before any later request is answered.
 *
 * The server is trusted with content, not with lengths: a reply that no call waits for, one that is
 * larger than its caller allowed, and a failure with a body end the connection with -EPROTO. A
 * connection that has ended, for any reason, is shut down at once, so that the server releases our
 * locks, and stays ended: every waiting call returns the reason, and every later
 * mux_become_sender() returns -ENOTCONN.
 *
 * The memory of replies is wiped before it is freed.
 */
#ifndef COMMON_REMOTE_MUX_H
#define COMMON_REMOTE_MUX_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/wakeup.h"
#include "common/wire/wire.h"

struct mux;
struct stream;

enum {
	MUX_NO_TAG = 0, /* no request has it */
	MUX_SMALL = 64  /* bytes; a reply of this size or less needs no buffer */
};

/*
 * When a wait ends: at until (nanoseconds of CLOCK_MONOTONIC, CLOCK_NEVER), or later by a second
 * for each MiB that the connection has moved since it had moved so many bytes, unless it is exact.
 */
struct mux_limit {
	uint64_t until;
	uint64_t moved;
	bool is_exact;
};

/* One request and its reply; the caller's storage, filled by mux_begin_call(). */
struct mux_call {
	struct wire_reader reply; /* the body, after mux_wait() returned 0, until mux_end_call() */

	/* The connection's own. */
	TAILQ_ENTRY(mux_call) link;
	struct wakeup woken;
	const void *owner; /* of a wait for a lock: see mux_interrupt() */
	bool is_upgrade;   /* set behind mux_begin_call(): see mux_take_back() */
	bool is_cancelled; /* its CANCEL was sent, and its reply is waited for */
	uint16_t tag;
	uint32_t reply_most;
	bool is_waiting; /* its thread sleeps on woken */
	bool is_done;    /* answered, or left to the connection by mux_cancel() */
	int status;      /* when done: 0 or a negative errno */
	struct buf body;
	uint8_t small[MUX_SMALL];
};

/* Where failures of one-way requests are recorded; the caller's storage, zeros to begin with. */
struct mux_failure {
	bool is_registered;
	uint16_t tag;     /* while registered: of the requests */
	atomic_int error; /* the last failure, a negative errno; 0: none */
	bool is_reported; /* by mux_failure_report() */
};

/*
 * A connection over s, which it owns from then on; the handshake is still to be done. Frames have
 * no tags until mux_use_tags(); replies then come in the order of the requests. silence:
 * nanoseconds. Returns 0 or -ENOMEM (s stays the caller's).
 */
int mux_create(struct mux **out, struct stream *s, uint64_t silence);

/* Takes NULL. Closes the connection and wipes; there must be no calls. */
void mux_destroy(struct mux *m);

/* The limit of a call that begins now, moves bytes and has until that time at least. */
struct mux_limit mux_limit(struct mux *m, uint64_t until);

/* The limit at that time, whatever the connection moves. */
static inline struct mux_limit
mux_limit_exact(uint64_t until)
{
	return (struct mux_limit){ .until = until, .is_exact = true };
}

/* Does the handshake, before m is shared. Returns 0, -ETIMEDOUT, or see stream_handshake(). */
int mux_handshake(struct mux *m, uint64_t until);

/* HELLO was agreed to: frames carry tags from now on. There must be no calls. */
void mux_use_tags(struct mux *m);

/* Gives f a tag, for one-way requests. Returns 0, -EMFILE or -ENOMEM. */
int mux_failure_register(struct mux *m, struct mux_failure *f);

/*
 * Undoes mux_failure_register(), if it was called. First a later request must have been answered,
 * or the connection have ended.
 */
void mux_failure_unregister(struct mux *m, struct mux_failure *f);

/*
 * Removes the recorded failure from f and returns it, a negative errno, or 0 when there is none.
 * *was_reported: whether mux_failure_report() has returned it before.
 */
int mux_failure_take(struct mux *m, struct mux_failure *f, bool *was_reported);

/*
 * Returns the recorded failure, once: 0 when there is none or it was reported before. For callers
 * that cannot act on it: it stays recorded.
 */
int mux_failure_report(struct mux *m, struct mux_failure *f);

/*
 * Makes the caller the sender, waiting at most until the limit, which is also that of writing the
 * request: a connection that takes no bytes until then ends. Returns 0, -ETIMEDOUT, or -ENOTCONN
 * when the connection has ended. After 0 the caller ends the role with mux_send().
 */
int mux_become_sender(struct mux *m, struct mux_limit limit);

/*
 * The same for a request of a few bytes, which will be written at once: returns -ETIMEDOUT, with
 * nothing sent, when the socket takes no bytes until then. After that writing it may take until
 * limit.
 */
int mux_become_quick_sender(struct mux *m, uint64_t until, struct mux_limit limit);

/*
 * The sender begins a request that is answered, by a body of at most reply_most bytes: operation op
 * with body_size bytes, all of which must then be put. c is the connection's until mux_end_call().
 */
void mux_begin_call(struct mux *m, struct mux_call *c, uint32_t op, uint64_t body_size,
    uint32_t reply_most);

/* The same for a one-way request. Its failure is recorded in f, which is registered. */
void mux_begin_one_way(struct mux *m, const struct mux_failure *f, uint32_t op, uint64_t body_size);

/*
 * Puts bytes of the body. Few bytes are copied, many are written from where they are and must not
 * change before mux_send() returns, which also returns an error that happens here.
 */
void mux_put(struct mux *m, const void *bytes, size_t size);
void mux_put_u8(struct mux *m, uint8_t value);
void mux_put_u32(struct mux *m, uint32_t value);
void mux_put_u64(struct mux *m, uint64_t value);

/*
 * Ends the request; the caller is no longer the sender. Returns 0 when the kernel has all of it,
 * else the error with which the connection has ended.
 */
int mux_send(struct mux *m);

/*
 * True when the kernel may not have sent all that was written yet, of which the last size bytes are
 * the caller's.
 */
bool mux_has_unsent(struct mux *m, uint64_t size);

/*
 * Waits for the reply to c until the limit. Returns 0 with c->reply, the negative errno that the
 * server answered with, the error with which the connection has ended (mux_has_ended() tells them
 * apart), or -ETIMEDOUT: c is then still the connection's, to be waited for again, cancelled, or
 * ended with the connection.
 */
int mux_wait(struct mux *m, struct mux_call *c, struct mux_limit limit);

/*
 * The same until that time; without a reply at the limit, which is the server's, the connection
 * ends.
 */
int mux_wait_in_time(struct mux *m, struct mux_call *c, uint64_t until, struct mux_limit limit);

/*
 * Waits for the reply to c, an ACQUIRE, as long as it takes until that time, until mux_interrupt()
 * of owner, or until a signal ends the wait e (NULL: none does): -EINTR, and c is still the
 * connection's. A silent server ends the connection, as above. Otherwise as mux_wait().
 */
int mux_wait_for_lock(struct mux *m, struct mux_call *c, const void *owner, uint64_t until,
    struct eintr *e);

/*
 * Another thread gives up the wait for a lock of that owner, if there is one, as mux_cancel() does:
 * mux_wait_for_lock() returns -ECANCELED, once the server has answered the CANCEL at the latest.
 */
void mux_interrupt(struct mux *m, const void *owner);

/*
 * Gives up the wait for c, an ACQUIRE, and sends its CANCEL: a grant of it ends at the server with
 * nothing published. Does not wait for the server. Returns true: c is done, with -ETIMEDOUT.
 * Returns false when c was answered, or the connection has ended: because of that, because it takes
 * no bytes, or because calls that were given up before have had no answer for the silence, or too
 * many of them none.
 */
bool mux_cancel(struct mux *m, struct mux_call *c);

/*
 * Gives up the wait for c, an upgrade: sends its CANCEL, once, after which the lock is held shared.
 * Does not wait for the server. Returns true: c is still the connection's, and its reply, which
 * says by which grant the lock is held, is to be waited for again. Returns false when c was
 * answered, or the connection has ended, perhaps because of the server's silence, as above.
 * mux_interrupt() of an upgrade only sends the CANCEL.
 */
bool mux_take_back(struct mux *m, struct mux_call *c);

/*
 * The same as mux_cancel() for another call: it is not cancelled, and its reply is discarded. A
 * connection without tags ends.
 */
bool mux_leave(struct mux *m, struct mux_call *c);

/* Ends c, which is done or whose connection has ended, and frees its reply. */
void mux_end_call(struct mux *m, struct mux_call *c);

/* Ends the connection, because of a malformed reply or of silence. Returns error. */
int mux_abort(struct mux *m, int error);

/* False when the connection has ended. Reads the socket first, unless a driver does. */
bool mux_is_alive(struct mux *m);

/* True when the connection is known to have ended. Does not read the socket. */
bool mux_has_ended(struct mux *m);

/* False when the program has closed the socket (ownfd.h) of a connection that has not ended. */
bool mux_is_intact(struct mux *m);

/*
 * Why the connection has ended: the server did not answer in time, or see stream_reason(). "" when
 * it has not. Valid as long as m.
 */
const char *mux_reason(struct mux *m);

/*
 * For fork(2). Between prepare and parent or child no other thread uses the connection, except
 * those that sleep in poll(2). child closes the inherited socket without sending a byte, and
 * forgets the calls of threads that do not exist in the child: the connection has then ended.
 * is_prepared false: prepare was not called, and any thread of the parent may have held the mutex.
 */
void mux_fork_prepare(struct mux *m);
void mux_fork_parent(struct mux *m);
void mux_fork_child(struct mux *m, bool is_prepared);

/*
 * Another process has the connection now, with its calls, and no other thread uses it: closes our
 * copy of the socket without sending a byte, and forgets the calls. Only mux_destroy() may follow.
 */
void mux_leave_to_other(struct mux *m);

#endif
