/*
 * process: which process runs here, and whether the calling thread is within a call of ours.
 *
 * Three kinds of processes run this code beside the one that fills the tables:
 *
 *	a child of fork(2)	has copies of the tables, and the fork handlers have run in it
 *	a child of vfork(2)	has the tables themselves, and descriptors of its own: whatever it
 *				calls goes straight to the kernel, and no table changes
 *	a child of clone(2)	has copies of the tables, and no handler has run: the same
 *
 * The last two are told by the process id: process_is_home() is false there. A thread is known by
 * the address of its own process_depth.
 *
 * The calls of the client library, from within a call of ours, also go straight to the kernel, and
 * so do those of a signal handler that interrupts one. process_enter() and process_leave() count
 * that. In between the thread cannot be cancelled: its locks and queues are those of all threads.
 */
#ifndef COMMON_PRELOAD_PROCESS_H
#define COMMON_PRELOAD_PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

extern __thread int process_depth __attribute__((tls_model("initial-exec")));

/* Whether the thread could be cancelled before its call. */
extern __thread int process_cancelling __attribute__((tls_model("initial-exec")));

/* True when the calling thread is within a call of ours. */
static inline bool
process_is_inside(void)
{
	return process_depth > 0;
}

static inline void
process_enter(void)
{
	if (process_depth++ == 0)
		(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &process_cancelling);
}

static inline void
process_leave(void)
{
	/* First: the call of a handler in between would note that it cannot be cancelled. */
	if (process_depth == 1)
		(void)pthread_setcancelstate(process_cancelling, NULL);
	process_depth--;
}

/* The tables belong to this process, and to its forked children in turn. Once, before their use. */
void process_begin(void);

/* The tables belong to this process from now on: a child of fork(2). */
void process_claim(void);

/* True unless the tables belong to another process, or to none. One system call. */
bool process_is_home(void);

/*
 * The same without a system call where the kernel wipes a page in copies of the process, and
 * without telling children of vfork(2), which may not make the calls that ask this.
 */
bool process_is_original(void);

#endif
