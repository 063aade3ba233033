/*
 * handles: the memory files that a process has open. Its threads share the handles: one opens,
 * others lock, another one closes.
 *
 * A thread takes a handle and gives it back; only a handle that nobody else has taken is closed,
 * or one with which all others wait for the lock. In a forked child the table goes on with all
 * handles that were open, none taken.
 * Take handles_lock() before the fork.
 */
#ifndef TESTS_TORTURE_HANDLES_H
#define TESTS_TORTURE_HANDLES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/torture/actor.h"
#include "tests/torture/view.h"

struct sm;
struct sm_file;

enum { HANDLES_MOST = 8 };

enum handles_state { HANDLES_FREE, HANDLES_MOVES, HANDLES_OPEN };

struct handle {
	enum handles_state state; /* HANDLES_MOVES: a thread opens or closes it */
	struct sm_file *file;     /* also the view's */
	unsigned number;          /* which memory file */
	unsigned generation;      /* of its name */
	unsigned users;           /* threads that have taken it */
	bool is_owner;            /* of its locks: one thread at a time locks with it */
	bool is_lost;             /* to be closed by its last user */
	bool is_closed; /* while others waited for the lock; they are users until they return */
	_Atomic bool is_gone; /* sm_close() has returned */
	struct book *book;
	struct view_user view;
};

/* A thread that waits for the lock. */
struct handles_waiter {
	const struct handle *handle; /* NULL: it does not */
	pid_t tid;
};

struct handles {
	struct sm *sm;
	pthread_mutex_t lock; /* of the table; held for moments only */
	struct handle table[HANDLES_MOST];
	struct views views;
	struct handles_waiter waiters[ROUND_THREADS_MOST];
};

/* Mounts. Returns 0, or -1 with errno. */
int handles_init(struct handles *h, const struct stage *s);

/* Frees all that is open. No other thread uses it. */
void handles_fini(struct handles *h);

/*
 * The threads' chosen handle of the memory file; opened and mapped if need be. NULL: not now.
 * to_lock: the caller may lock with it.
 */
struct handle *handles_take(struct actor *a, unsigned number, bool to_lock);

/* Gives it back. is_lost: it is to be closed. */
void handles_give(struct actor *a, struct handle *t, bool is_lost);

/*
 * Around a call that waits for the lock. False: another thread has closed the handle meanwhile. The
 * lock is not the caller's then, even if the call got it; the caller gives the handle back.
 */
void handles_wait(struct actor *a, const struct handle *t);
bool handles_waited(struct actor *a, const struct handle *t);

/*
 * Takes it from all others, to close it; false when another thread has taken it. With is_waited:
 * only from others that all sleep in a call that waits for the lock.
 */
bool handles_claim(struct actor *a, struct handle *t, bool is_waited);
void handles_close(struct actor *a, struct handle *t);

/* Around fork(2), in the parent and the child. */
void handles_lock(struct handles *h);
void handles_unlock(struct handles *h);
void handles_inherit(struct handles *h);

#endif
