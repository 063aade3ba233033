/*
 * filelock: the queue of this process's threads for the lock of one memory file.
 *
 * The process holds at most one grant of the lock, whatever the number of its threads. The thread
 * that becomes the *first* holder gets the grant from the backend: every exclusive holder is a
 * first one; of readers, the one that finds the lock free, and the others then join. The *last*
 * holder to leave gives the grant back. In the meantime all other threads queue:
 *
 *	acquire -> first: get the grant, then filelock_got() or filelock_admit_readers(); or, on
 *		failure, filelock_hand_over()
 *	release -> last: give the grant back, then filelock_hand_over()
 *	acquire by a reader, to write -> upgrades, once it is the only holder: get the exclusive
 *		grant, then filelock_upgraded(); or, on failure, filelock_not_upgraded()
 *	filelock_change() by a writer, to read: then filelock_admit_readers(), or, when the lock is
 *		lost, filelock_hand_over()
 *
 * Threads are served first come first served, and no reader overtakes a waiting writer. Writers of
 * other processes wait at the backend, where this queue cannot see them: so that overlapping
 * readers here do not keep the grant for ever, once the first of them has left one joins only after
 * the backend has said that nobody waits (filelock_join()).
 *
 * A lock has an *owner*, which alone may release it: a thread, or a handle through which every
 * thread may. Each holder and waiter is recorded with its owner and the handle that it locks
 * through.
 */
#ifndef COMMON_CLIENT_FILELOCK_H
#define COMMON_CLIENT_FILELOCK_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct eintr;
struct filelock_waiter;
TAILQ_HEAD(filelock_queue, filelock_waiter);

/* Both sorts are addresses of different objects: that of a thread is its pthread_t. */
typedef uintptr_t filelock_owner;

static inline filelock_owner
filelock_thread(void)
{
	return (filelock_owner)pthread_self();
}

struct filelock_holder {
	filelock_owner owner;
	const void *handle;
};

enum filelock_state {
	FILELOCK_FREE,
	FILELOCK_EXCLUSIVE, /* also while the grant is acquired and released */
	FILELOCK_CHANGING,  /* the shared grant is being acquired, released, or changed */
	FILELOCK_SHARED,
	FILELOCK_DRAINING /* shared, and a reader has left: others join by filelock_join() only */
};

/* A new holder has this task. */
enum filelock_task { FILELOCK_NOTHING, FILELOCK_GET_GRANT, FILELOCK_UPGRADE_GRANT };

struct filelock {
	pthread_mutex_t mutex;
	enum filelock_state state;

	/*
	 * The first holder gets the grant. Set with the mutex; that thread may clear it without.
	 */
	atomic_bool is_getting;
	bool is_changing;                 /* since filelock_change() */
	bool is_upgrading;                /* it is a reader, */
	enum filelock_state upgrade_of;   /* the lock was in this state, */
	const void *read_through;         /* and locked through this handle */
	struct filelock_waiter *upgrader; /* a reader that waits to be the only holder, or NULL */
	unsigned expelled; /* threads that filelock_expel() has sent away and that are still here */

	/*
	 * Of the exclusive holder, from when it has the grant; 0: none. A thread may compare it
	 * with what it owns without the mutex.
	 */
	_Atomic filelock_owner owner;

	struct filelock_holder *holders;
	size_t count;    /* of holders */
	size_t capacity; /* of holders, at least count + waiters */
	size_t waiters;
	struct filelock_queue queue;
};

/* Returns 0 or -ENOMEM. */
int filelock_init(struct filelock *l);
void filelock_fini(struct filelock *l);

/*
 * Makes self a holder, waiting until deadline (nanoseconds of CLOCK_MONOTONIC, CLOCK_NEVER, or 0: a
 * try), or until a signal ends the wait e (NULL: none does). *task is then what the caller has to
 * do. An owner that reads may write: it waits in front of all others, and no reader joins
 * meanwhile. Returns 0; -EDEADLK when self's owner holds the lock otherwise, or another reader
 * waits to write; -EAGAIN (a try), -ETIMEDOUT, -EINTR, -ENOMEM; -ECANCELED: expelled.
 */
int filelock_acquire(struct filelock *l, enum protocol_mode mode, struct filelock_holder self,
    uint64_t deadline, struct eintr *e, enum filelock_task *task);

/*
 * True when nothing but a wait elsewhere, for which to look, keeps owner from joining the readers.
 */
bool filelock_may_join(struct filelock *l, filelock_owner owner);

/*
 * Nobody waits elsewhere: makes self a holder beside the readers that are left, if there are any
 * and nobody waits here. Returns true when it has.
 */
bool filelock_join(struct filelock *l, struct filelock_holder self);

/*
 * handle is going to be closed: ends the waits of all threads that wait here through it. Returns
 * true while any of them is still here, or the first holder gets the grant for it (*is_getting).
 */
bool filelock_expel(struct filelock *l, const void *handle, bool *is_getting);

/* The last call of a thread that was expelled. */
void filelock_leave(struct filelock *l);

/* The first holder, an exclusive one of that owner, has the grant. */
static inline void
filelock_got(struct filelock *l, filelock_owner owner)
{
	atomic_store_explicit(&l->owner, owner, memory_order_release);
	atomic_store_explicit(&l->is_getting, false, memory_order_release);
}

/* The first holder, a shared one, has the grant: the readers at the head of the queue join. */
void filelock_admit_readers(struct filelock *l);

/* The reader of that owner, which is the only holder, has the exclusive grant, or has it not. */
void filelock_upgraded(struct filelock *l, filelock_owner owner);
void filelock_not_upgraded(struct filelock *l);

/*
 * Owner, which holds the lock exclusively, is going to share it, or to have it again with
 * filelock_upgraded(). Returns 0 or -ENOLCK; or -EBUSY: another thread, which has the same handle,
 * has called this function and is about to end the change.
 */
int filelock_change(struct filelock *l, filelock_owner owner);

/* Returns 0 when owner holds the lock; -ENOLCK; or -EBUSY, as above. */
int filelock_check_holder(struct filelock *l, filelock_owner owner);

/* True while a reader waits to be the only holder. */
bool filelock_has_upgrader(struct filelock *l);

/* How this process holds the lock now; PROTOCOL_FREE: it does not. */
enum protocol_mode filelock_mode(struct filelock *l);

/*
 * Owner leaves. Returns 1 when it was the last holder and the caller has to give the grant back; 0
 * when others still read; -ENOLCK when it does not hold the lock, or another thread upgrades the
 * grant for it; or -EBUSY, as above.
 */
int filelock_release(struct filelock *l, filelock_owner owner);

/*
 * All holders that locked through handle leave, whatever their owners. Returns true when the caller
 * has to give the grant back.
 */
bool filelock_release_handle(struct filelock *l, const void *handle);

/*
 * The process has no grant, given back or not obtained: the lock is free for the waiters at the
 * head of the queue.
 */
void filelock_hand_over(struct filelock *l);

/*
 * With the mutex: true when no thread has the lock, or acquires or releases it; none begins while
 * the caller keeps the mutex.
 */
static inline bool
filelock_is_free(const struct filelock *l)
{
	return l->state == FILELOCK_FREE;
}

/*
 * In a fork's child: the lock has no holders and no waiters. is_locked: this thread has the mutex;
 * else any thread of the parent may have had it.
 */
void filelock_fork_child(struct filelock *l, bool is_locked);

#endif
