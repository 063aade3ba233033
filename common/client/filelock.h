/*
 * filelock: who in this process holds a memory file, and who waits for it, first come first
 * served.
 *
 * The server sees one holder a process. The thread that filelock_take() makes the *first* has to
 * get the server's grant; for an exclusive lock that is every holder, for shared ones the first
 * reader, whom others then join. The *last* to leave gives the grant back. While one of them is
 * at it, the others queue:
 *
 *	take -> first: get the grant, then filelock_granted(), or filelock_done() if that failed
 *	leave -> last: give the grant back, then filelock_done()
 *
 * A reader never overtakes a waiting writer. Writers of other processes wait at the server, out of sight: so
 * that readers here do not keep the grant for ever by overlapping, none may join once the first has left.
 * Each holder is remembered with the handle it locked
 * through.
 */
#ifndef COMMON_CLIENT_FILELOCK_H
#define COMMON_CLIENT_FILELOCK_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct filelock_waiter;
TAILQ_HEAD(filelock_queue, filelock_waiter);

struct filelock_holder {
	pthread_t thread;
	const void *via; /* the handle */
};

enum filelock_state {
	FILELOCK_FREE,
	FILELOCK_EXCLUSIVE, /* also while its grant is got and given back */
	FILELOCK_CHANGING,  /* the shared grant is being got or given back */
	FILELOCK_SHARED,
	FILELOCK_DRAINING /* shared, and a reader has left: no more may join */
};

struct filelock {
	pthread_mutex_t mutex;
	enum filelock_state state;
	_Atomic(pthread_t)
	    owner; /* who holds it exclusively; 0: nobody. Read without the mutex by who asks for itself */
	struct filelock_holder *holders;
	size_t count; /* of holders */
	size_t room;  /* for holders; enough for who waits, too */
	size_t waiters;
	struct filelock_queue queue;
};

/* Returns 0 or -ENOMEM. */
int filelock_init(struct filelock *l);
void filelock_fini(struct filelock *l);

/*
 * Makes the calling thread a holder, through via, waiting until deadline (nanoseconds of
 * CLOCK_MONOTONIC, CLOCK_NEVER, or 0: a try). *is_first then says whether it has to get the
 * grant. Returns 0; -EDEADLK when it is a holder already; -EAGAIN (a try), -ETIMEDOUT, -ENOMEM.
 */
int filelock_take(struct filelock *l, enum protocol_mode mode, const void *via, uint64_t deadline,
    bool *is_first);

/* The first has the grant: other readers may join. */
void filelock_granted(struct filelock *l);

/*
 * The calling thread leaves. Returns 1 when it is the last, and has to give the grant back; 0
 * when others still read; -ENOLCK when it is no holder.
 */
int filelock_leave(struct filelock *l);

/*
 * All that took the lock through via leave, whatever thread. Returns true when that leaves the
 * grant to give back.
 */
bool filelock_leave_via(struct filelock *l, const void *via);

/* In a forked child: nobody holds it and nobody waits. is_locked: this thread has the mutex; else anybody may. */
void filelock_forget(struct filelock *l, bool is_locked);

/* There is no grant any more, or none could be had: the next one's turn. */
void filelock_done(struct filelock *l);

#endif
