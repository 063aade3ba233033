/*
 * section: critical sections, timed one by one.
 *
 * The loop is the same for every kind of path: lock, change some bytes, unlock, read the clock.
 * Each run of changed bytes begins at the start of a block, one or more blocks after the previous
 * run, so that no block always stays in the cache. Every changed byte gets another value: writing
 * the old value would cost nothing with a tracker that compares.
 *
 * A section is on one of two kinds of path:
 *
 * Memory files, through the client library. Like the original, the section maps through one handle
 * and locks through another. A lock updates, and an unlock publishes, the mapping *of the same
 * memory file*, so both paths are usually one. With two different paths the section measures a pure
 * lock beside memory that no other process shares.
 *
 * Plain files, as in a program that trusts the kernel: one file mapped with MAP_SHARED, and a
 * record lock (fcntl, F_SETLKW) on the whole of another. The mapped file may be /dev/zero, as in
 * the original: then every process has zeros of its own and shares only the lock. A record lock
 * belongs to a process; where threads compete the section takes an open-file-description lock
 * (F_OFD_SETLKW), which excludes threads too.
 */
#ifndef BENCH_SECTION_H
#define BENCH_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/smclient.h"

struct section_ops {
	int (*lock)(void *place);   /* 0 or a negative errno */
	int (*unlock)(void *place); /* 0 or a negative errno */
	/* Says which bytes were changed; NULL where nothing wants to know. */
	int (*hint)(void *place, size_t offset, size_t length);
	void (*close)(void *place); /* frees place; NULL does nothing */
};

struct section {
	const struct section_ops *ops; /* NULL: not open */
	void *place;
	unsigned char *memory; /* NULL if size is 0 */
	size_t size;           /* bytes */
	size_t next;           /* the run of bytes that the next critical section changes */
	bool is_hinting;       /* the caller may set it: each change is named with ops->hint */
};

/*
 * Whether path, an absolute one, is under a mount. Returns 0 or a negative errno of the library,
 * which sm_error() describes.
 */
int section_find_mount(struct sm *sm, const char *path, bool *is_mounted);

/*
 * Opens memory files and maps size bytes of mempath (0: none). sm must outlive the section.
 * Returns 0 or a negative errno of the library; *out is then untouched. sm_error() describes a
 * failure, also one of section_measure().
 */
int section_open_mounted(struct section *out, struct sm *sm, const char *mempath,
    const char *lockpath, size_t size);

/*
 * Opens plain files, which may be one file. Creates missing files and extends a regular file that
 * is shorter than size; closing the section keeps them. is_threaded: other threads of this process
 * open the same files. Returns 0 or a negative errno; *out is then untouched.
 */
int section_open_plain(struct section *out, const char *mempath, const char *lockpath, size_t size,
    bool is_threaded);

/*
 * Does count critical sections that change `changed` bytes each (at most size). Stores the
 * nanoseconds of each, from the end of the previous one to its own end. Returns 0, or a negative
 * errno when one failed; the lock is then not held.
 */
int section_measure(struct section *section, size_t changed, uint64_t *samples, size_t count);

/*
 * Does the same, but each sample is the mean of `group` critical sections (at least 1): for
 * sections so short that reading the clock would be much of their cost.
 */
int section_measure_means(struct section *section, size_t changed, size_t group, uint64_t *samples,
    size_t count);

/* Closes an open section; one that is all zeros is not open. */
void section_close(struct section *section);

#endif
