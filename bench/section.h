/*
 * section: critical sections, timed one by one.
 *
 * What is locked and written is behind two kinds of place: memory files of a
 * server (mounted.h) and plain files (plain.h).  The loop is the same for
 * both: lock, change some bytes, unlock, look at the clock.
 *
 * The bytes that change walk through the memory, a block or more further each
 * time, so that no block is always the one in the cache; each byte written
 * really gets another value, as writing the old one would cost a tracker that
 * compares nothing.  A run of them begins at the start of a block.
 */
#ifndef BENCH_SECTION_H
#define BENCH_SECTION_H

#include <stddef.h>
#include <stdint.h>

struct section_ops {
	int (*lock)(void *place);   /* 0 or -errno */
	int (*unlock)(void *place); /* 0 or -errno */
	void (*close)(void *place); /* frees it; NULL is fine */
};

struct section {
	const struct section_ops *ops; /* NULL: not open */
	void *place;
	unsigned char *memory; /* NULL if size is 0 */
	size_t size;           /* bytes */
	size_t next;           /* which run of bytes is changed next */
};

/*
 * Do `count` critical sections that change `changed` bytes each (at most the
 * size), and store the nanoseconds of each, from the end of one to the end of
 * the next.  -errno, and nothing is locked, when one fails.
 */
int section_measure(struct section *section, size_t changed, uint64_t *samples, size_t count);

/*
 * The same where each sample is the mean of `group` (at least 1) critical sections: for those that are so short that
 * looking at the clock would be much of it.
 */
int section_measure_means(struct section *section, size_t changed, size_t group, uint64_t *samples,
    size_t count);

/* Close what mounted_open() or plain_open() opened; one that is not open is fine. */
void section_close(struct section *section);

#endif
