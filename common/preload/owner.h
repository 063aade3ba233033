/*
 * owner: the owner of a memory file's lock: the process, for fcntl() and lockf(), or an open file
 * description, for flock() and F_OFD_SETLK. Each owner has a handle of the client library, so that
 * owners exclude each other, in this process and in others.
 *
 * An owner locks byte ranges, and flock()'s whole file besides; it holds the file's one lock in the
 * mode that all of these together need. Several threads may act for one owner. One at a time
 * changes what it holds, and the others wait for it: a second lock of the same process succeeds
 * when the first one has.
 *
 * All of it is protected by the mutex of the tables; the functions take it, and wait without it.
 *
 * The thread that changes what an owner holds has the owner's turn, and then takes the mutex of the
 * files, if it has to. At the end of the process another thread takes these two the other way
 * round: description_drop_all() has the mutex of the files in each owner_drop(), which waits for
 * the turn. That is no deadlock: owner_drop() waits for a turn only while the thread that has it
 * needs nothing but the answer of a server, which comes in bounded time. It goes on without the
 * turn when that thread waits for another holder (is_waiting), or for the mutex (wants_files); and
 * no other call that may have the mutex of the files waits for a turn.
 */
#ifndef COMMON_PRELOAD_OWNER_H
#define COMMON_PRELOAD_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/preload/ranges.h"

struct memfile;
struct sm_file;

struct owner {
	struct owner *next; /* of the same file */
	struct memfile *file;
	struct sm_file *handle;    /* of the process: that of the file */
	bool is_process;           /* the owner is the process */
	_Atomic bool is_inherited; /* by a forked child that has not used the handle yet */
	int held;                  /* 0, SM_READ, SM_WRITE */
	struct ranges ranges;      /* locked by fcntl() */
	int whole;                 /* locked by flock(): 0, SM_READ, SM_WRITE */
	const int *thread;         /* that took the lock: its process_depth */

	bool is_changing;      /* a thread is in the client library for this owner */
	bool is_waiting;       /* it waits there for other holders, perhaps for long */
	bool wants_files;      /* it waits for the mutex of the files */
	bool is_dropped;       /* meanwhile all ranges were unlocked */
	unsigned sleepers;     /* threads that wait for it */
	unsigned _Atomic turn; /* counts changes: they sleep on it */
};

/* A thread asks for a lock so. */
struct owner_request {
	bool is_flock;
	struct range range; /* of flock(): the mode only */
	int how;            /* SM_TRY, SM_INTERRUPTIBLE or 0: how to wait */
};

/*
 * Opens the file of that path, or finds it, and adds a user: memfile_open(), with an owner that is
 * the process. With the mutex of the files.
 */
int owner_open_file(struct memfile **out, const char *path, int flags);

/* A user ends: memfile_put(). */
int owner_put_file(struct memfile *f);

/* The owner that is the process. */
struct owner *owner_of_process(const struct memfile *f);

/* Makes an owner that is a description. With the mutex of the files. */
int owner_create(struct owner **out, struct memfile *f);

/* It holds nothing. Takes NULL. With the mutex of the files. Returns an error of closing. */
int owner_destroy(struct owner *o);

/*
 * Locks or unlocks. Returns 0; -EAGAIN, -EINTR (how); -EDEADLK: another process upgrades, too, or
 * this thread has locked the file as the other kind of owner; -ENOMEM; or an error of the client
 * library. When unlocking fails, the lock is released all the same.
 */
int owner_lock(struct owner *o, const struct owner_request *request);

/*
 * Unlocks everything, and publishes. A thread that is waiting for a lock of this owner, or for the
 * mutex of the files in order to map the file or open it again, goes on. The caller may have the
 * mutex of the files. Returns 0 or the error of the release.
 */
int owner_drop(struct owner *o);

/*
 * In a forked child: the server had not answered its parent in time (-ESTALE), or the program has
 * closed descriptors of the client library (-EBADF), and the inherited handle is good for nothing.
 * Opens the file again: memfile_reopen(). -ESTALE: the child has used the handle, or the file has
 * ended with the parent.
 */
int owner_reopen(struct owner *o);

/* In a forked child: owns nothing, and no thread is in here. With the mutex of the tables. */
void owner_forget(struct owner *o);

/* True when the owner holds the lock. */
bool owner_holds(struct owner *o);

#endif
