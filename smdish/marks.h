/*
 * marks: a set of blocks of a segment: those that a publication changes.
 *
 * A bit a block, and the range that has all marked blocks: a publication of few blocks costs as
 * little in a large segment as in a small one.
 */
#ifndef SMDISH_MARKS_H
#define SMDISH_MARKS_H

#include <stdint.h>

struct marks {
	uint64_t *words;
	uint32_t first, end; /* marked blocks are in here; end is behind the last one */
};

/* No marks for a segment of count blocks. Returns 0 or -ENOMEM. */
int marks_init(struct marks *m, uint32_t count);

/* Frees; m may be all zeros. */
void marks_fini(struct marks *m);

/* Marks the blocks from first to last. */
void marks_add(struct marks *m, uint32_t first, uint32_t last);

/* The first marked block at or after block, or m->end. */
uint32_t marks_next(const struct marks *m, uint32_t block);

/* Removes all marks. */
void marks_clear(struct marks *m);

#endif
