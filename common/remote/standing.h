/*
 * standing: a request that outlives the call that sent it. A caller whose deadline passes leaves it
 * to the connection; the next caller waits for the same reply. So nothing is asked twice, and what
 * the server has done is not lost.
 *
 * The server has its silence (mux.h) to answer, however many callers wait: after that the
 * connection ends.
 *
 * A standing request is the storage of its owner, who lets one thread at a time call these
 * functions, and ends it before the connection is destroyed. After a fork one of the two processes
 * forgets it instead.
 */
#ifndef COMMON_REMOTE_STANDING_H
#define COMMON_REMOTE_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/remote/mux.h"

struct standing {
	struct mux_call call;
	struct mux *mux; /* that it was sent over; NULL: there is no request */
	struct mux_limit limit;
};

/* True from standing_begin() on, until its reply was taken or the connection has ended. */
static inline bool
standing_is_sent(const struct standing *s)
{
	return s->mux != NULL;
}

/*
 * Makes the caller the sender of a request of a few bytes, waiting until that time at most; silence
 * is in nanoseconds. Returns 0 or see mux_become_quick_sender(). After 0 the caller begins s->call,
 * puts its body, and calls standing_send().
 */
int standing_begin(struct standing *s, struct mux *mux, uint64_t until, uint64_t silence);

/* Sends the request that was put; a failure is the result of standing_wait(). */
void standing_send(struct standing *s);

/*
 * Waits for the reply until that time; its body must have exactly size bytes. Returns -ETIMEDOUT
 * while standing_is_sent(), to be called again. Otherwise the request is over, and the caller reads
 * s->call.reply after 0, and calls mux_end_call() whatever the result: see mux_wait().
 */
int standing_wait(struct standing *s, uint32_t size, uint64_t until);

/* In a forked child that goes on with a request of its parent: the server's silence begins anew. */
void standing_renew(struct standing *s, uint64_t silence);

/* If a request is still sent, ends it and the connection. */
void standing_end(struct standing *s);

/* After a fork: the request is the other process's. */
static inline void
standing_forget(struct standing *s)
{
	s->mux = NULL;
}

#endif
