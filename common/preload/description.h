/*
 * description: an open file description of a memory file, and the table of the descriptor numbers
 * that lead to one.
 *
 * fdtable_has() is in front of every call with a descriptor, and so costs little: a load and a test
 * before the first memory file is opened, and then a look into a table of pointers. No other
 * descriptor is in the table, and no table exists without a memory file.
 *
 * A description lives as long as it has numbers, and while a call is using it. The kernel's own
 * table may change behind our back (a bare system call): description_get() notices that a number is
 * no placeholder any more, and forgets it.
 */
#ifndef COMMON_PRELOAD_DESCRIPTION_H
#define COMMON_PRELOAD_DESCRIPTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct memfile;
struct owner;

enum { DESCRIPTION_CHUNK = 1024, DESCRIPTION_CHUNKS = 1024 };

struct description {
	struct memfile *file;
	atomic_int flags; /* of open(2), which F_GETFL returns */
	_Atomic off_t offset;

	/* with the mutex of the tables */
	unsigned numbers; /* descriptors */
	unsigned uses;    /* numbers and calls */

	/* set once, with the mutex of the files: for flock() and F_OFD_SETLK */
	struct owner *_Atomic own;
};

typedef _Atomic(struct description *) description_slot;

extern atomic_uint description_limit; /* above all numbers that are in the table */
extern _Atomic(description_slot *) description_chunks[DESCRIPTION_CHUNKS];

/* True when fd is a memory file's, unless the kernel's table has changed behind our back. */
static inline bool
description_has(int fd)
{
	unsigned number = (unsigned)fd;
	description_slot *chunk;

	if (number >= atomic_load_explicit(&description_limit, memory_order_relaxed))
		return false;
	chunk = atomic_load_explicit(&description_chunks[number / DESCRIPTION_CHUNK],
	    memory_order_acquire);
	return chunk != NULL &&
	    atomic_load_explicit(&chunk[number % DESCRIPTION_CHUNK], memory_order_relaxed) != NULL;
}

/*
 * The description of fd, for a call, which ends with description_put(). NULL when it is none of
 * ours, and when this process may not use the tables (process.h).
 */
struct description *description_get(int fd);

/* The same, for calls that a child of vfork(2) may not make: process_is_original(). */
struct description *description_get_fast(int fd);

void description_put(struct description *d);

/*
 * For a call that has changed the kernel's table of descriptors, and not ours: in a signal handler
 * that interrupted a call of ours. That call will find the numbers that are no placeholders any
 * more.
 */
void description_note_change(void);

/* A line, for the first such call of the program: d's file cannot do what it asks. */
void description_refuse(const struct description *d, const char *call);

/* Within a call of ours, without the mutexes: closes the numbers that handlers have closed. */
void description_settle(void);

/* The end of a call of ours: description_settle() and process_leave(). */
void description_leave(void);

/* Makes the client library and the tables ready; with the mutex of the files. */
int description_prepare(void);

/* Opens path, a memory file; flags as for open(2). Returns the descriptor or a negative errno. */
int description_open(const char *path, int flags);

/* Makes fd, which the kernel has just made of a number of d, another number of d. */
int description_add(struct description *d, int fd);

/*
 * fd is about to be closed or replaced. Drops the locks that POSIX drops with it: those of the
 * process on that file and, with the last number, those of the description. The number is none of
 * ours from now on. Returns 0 or the error of publishing.
 */
int description_close(int fd);

/* Ends all locks of this process, and publishes. */
void description_drop_all(void);

/* The same, and no descriptor is a memory file's any more: the client library is going to end. */
void description_end_all(void);

/* The owner for flock() and F_OFD_SETLK; made at the first call. */
int description_owner(struct description *d, struct owner **out);

/* The number behind the largest one in the table. */
static inline int
description_end(void)
{
	return (int)atomic_load_explicit(&description_limit, memory_order_relaxed);
}

#endif
