/*
 * ranges: the byte ranges that one owner has locked, for reading or writing, as POSIX counts them:
 * a later lock of the same owner replaces the earlier one where they overlap.
 *
 * A memory file has one lock. It is held as long as any range is, for writing when any range is
 * locked for writing: so unlocking one of two ranges does not unlock the file.
 */
#ifndef COMMON_PRELOAD_RANGES_H
#define COMMON_PRELOAD_RANGES_H

#include <stddef.h>
#include <stdint.h>

struct range {
	int64_t begin, end; /* end is behind the last byte; INT64_MAX: as far as the file goes */
	int mode;           /* SM_READ or SM_WRITE; 0 only as an argument: unlocked */
};

/* All zeros at first: none. In no order; they do not overlap. */
struct ranges {
	struct range *list;
	size_t count;
};

/*
 * Makes *out, which is uninitialized, the ranges of r after range was locked or unlocked. Returns 0
 * or -ENOMEM.
 */
int ranges_with(struct ranges *out, const struct ranges *r, const struct range *range);

/* Frees the list; none are left. */
void ranges_clear(struct ranges *r);

/* The mode of the file's lock that these ranges need: 0, SM_READ or SM_WRITE. */
int ranges_mode(const struct ranges *r);

#endif
