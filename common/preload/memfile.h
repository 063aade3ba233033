/*
 * memfile: a memory file as this process has it: one for each path, whatever the number of its
 * descriptors. It lives as long as a description or a mapping of it does.
 *
 * The segment has one mapping in the process, at one address, which every mmap() of the file
 * returns. It is made when the file is opened if there is a segment, else by the first ftruncate()
 * or mmap(), and kept until the file is closed: the client library maps nothing while the lock is
 * held, except through the handle that holds it.
 *
 * When the file's server is gone, its calls fail, and the next open makes another struct for the
 * path, once the program maps the lost file no more: locks of the new one do not protect that
 * memory.
 *
 * Functions return 0 or a negative errno and report failures of the client library, as
 * memfile_fail() does. Those that open, map and close want the mutex of the files (state.h).
 */
#ifndef COMMON_PRELOAD_MEMFILE_H
#define COMMON_PRELOAD_MEMFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct owner;
struct sm_file;
struct span;

struct memfile {
	struct memfile *next; /* changes with both mutexes */
	char *path;
	struct sm_file *handle; /* which owns the locks of fcntl(), those of the process */

	/* with the mutex of the files */
	unsigned users; /* descriptions and mmap()s */
	unsigned maps;
	size_t least_mapped;      /* the shortest of these, whole pages */
	bool is_gone;             /* its server is: no open finds it any more */
	atomic_bool is_inherited; /* by a forked child that has not used it yet */
	uint64_t life;            /* of struct sm_stat, when it was opened; 0: not known */

	/* set once, with the mutex of the files */
	void *_Atomic base;    /* NULL: not mapped */
	struct span *span;     /* the same for memfile_is_mapped_at() */
	size_t size;           /* of the segment */
	struct owner *process; /* the owner that is the process */

	/* with the mutex of the tables */
	struct owner *owners;   /* all that have locks of this file */
	struct sm_file *writer; /* the handle that holds the lock for writing; NULL: none */

	atomic_int failure;     /* the errno that was reported last */
	atomic_bool is_settled; /* a lock was acquired, and a segment that was there is mapped */
};

/*
 * Finds the file of that path, or opens it: flags are those of open(2). Adds a user. -ESTALE: the
 * program maps a lost file of that path.
 */
int memfile_open(struct memfile **out, const char *path, int flags);

/*
 * In a forked child: opens the file anew, at the address where it is mapped, when the server gave
 * the child no part of its parent's connection in time (-ESTALE). Does nothing when it is another
 * file by now.
 */
int memfile_reopen(struct memfile *f);

/* A user ends. Closes the file with the last one. */
int memfile_put(struct memfile *f);

/* Maps the segment of size bytes, or 0: of the size that it has. Adds no user. */
int memfile_map(struct memfile *f, void *hint, size_t size);

/* The size of the segment, 0: none; from the server unless it is mapped. */
int memfile_size(struct memfile *f, uint64_t *size);

/*
 * The file that is mapped over size bytes at address, or a part of them; NULL: none. With either
 * mutex.
 */
struct memfile *memfile_mapped_at(const void *address, size_t size);

/* Whether there is one. Without a mutex, also where another thread maps or closes files. */
bool memfile_is_mapped_at(const void *address, size_t size);

/* All mappings that ever were are from low up to high; at first low is above high. */
extern atomic_uintptr_t memfile_low, memfile_high;

/* The first of all files of this process, linked by next. With either mutex. */
struct memfile *memfile_first(void);

/*
 * The client library failed with error: reports it with what was asked, unless it is an answer that
 * programs expect (EAGAIN, EINTR, EDEADLK, ENOENT, EEXIST) or the last report of this file. Returns
 * error.
 */
int memfile_fail(struct memfile *f, const char *path, const char *what, int error);

#endif
