/*
 * eintr: sleeps that a caught signal ends, as it ends the wait of fcntl(2) with F_SETLKW: a handler
 * without SA_RESTART does (-EINTR); after one with SA_RESTART the wait goes on.
 *
 * The kernel says that a handler has run, and not which. So a wait that lasts longer than a
 * millisecond looks once at the handlers of all signals. From then on the signals whose handlers
 * end the wait are blocked between its sleeps, so that it notices each of them. If there are
 * handlers of both sorts, those with SA_RESTART run between sleeps that are short (EINTR_SLICE_MS).
 * A handler runs with the mask that the program has set; one that ends a sleep, if there are both
 * sorts, with the others blocked. Signals of faults (SIGSEGV and its like) are never blocked.
 *
 * futex(2) cannot unblock signals for as long as it sleeps, as ppoll(2) does: a handler that runs
 * just before the sleep, or as it ends by its time limit, leaves no trace. So in a short sleep on a
 * futex the signals stay blocked, and one that comes is noticed at its end. The main thread of a
 * process that has or had other threads does not do so: the kernel would give the signal to
 * another one.
 *
 * So a signal may be missed in the first millisecond of a wait; in the moment before a long
 * eintr_futex() sleeps; and by such a main thread in the moments before and after each
 * eintr_futex().
 *
 * A wait belongs to one thread, and its struct to the caller.
 */
#ifndef COMMON_BASE_EINTR_H
#define COMMON_BASE_EINTR_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pollfd;

enum { EINTR_SLICE_MS = 20 };

struct eintr {
	uint64_t look_at;    /* the handlers, at this time of the wait */
	bool has_looked;     /* at them: the members below are set */
	bool has_ending;     /* there are handlers that end the wait, */
	bool has_restarting; /* and others */
	sigset_t ending;     /* the signals that end the wait */
	sigset_t before;     /* the mask of the thread, */
	sigset_t asleep;     /* and its masks in sleeps, */
	sigset_t awake;      /* and between them */
};

/* A wait begins. */
void eintr_begin(struct eintr *e);

/* It ends, however it does: the mask is as before. Handlers may run that were held back. */
void eintr_end(struct eintr *e);

/*
 * Sleeps as poll(2) does with one descriptor, or with none (p is NULL), until that time
 * (nanoseconds of CLOCK_MONOTONIC, CLOCK_NEVER). Returns 0 when the descriptor is ready,
 * -ETIMEDOUT, -EINTR, or another error of poll(2).
 */
int eintr_poll(struct eintr *e, struct pollfd *p, uint64_t until);

/*
 * Sleeps on a futex as long as it is seen, until that time; operation and bits are those of
 * futex(2). Returns 0 when another thread may have woken it, -ETIMEDOUT, -EINTR, or another error
 * of futex(2). e may be NULL: no signal ends the sleep then, but it may end without a reason.
 */
int eintr_futex(struct eintr *e, const _Atomic uint32_t *futex, int operation, uint32_t seen,
    uint32_t bits, uint64_t until);

#endif
