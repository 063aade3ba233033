/*
 * region: the memory of a segment: addresses are reserved at once, memory is committed when it is
 * needed, and both are freed at the end.
 *
 * The contract is that of an enclave memory manager (SGX EMM: reserve, commit, dealloc): a segment
 * takes no pages of the enclave until something is published, and a commit that fails is an error
 * that the server can refuse, not a fault later. Commits are made in extents of REGION_EXTENT
 * bytes, so that a segment with every other block published does not reach the kernel's limit of
 * mappings.
 *
 * The memory is trusted: the host provides the pages, and in an enclave the hardware keeps the host
 * out of them. It is excluded from core dumps, and wiped before it is freed.
 */
#ifndef SMDISH_REGION_H
#define SMDISH_REGION_H

#include <stddef.h>
#include <stdint.h>

enum { REGION_EXTENT = 64 * 1024 };

struct region {
	uint8_t *base;    /* readable and writable only where committed; zeros at first */
	size_t size;      /* bytes of the segment */
	size_t reserved;  /* size, rounded up to pages */
	size_t committed; /* bytes with memory behind them */
	uint8_t *extents; /* one byte an extent, an enum of region.c */

	/* The extents that are wanted are in here. */
	size_t wanted_first, wanted_end;
};

/* Reserves size bytes (at least 1). Returns 0 or -ENOMEM. */
int region_init(struct region *g, size_t size);

/* Wipes the committed memory and frees the region. g may be all zeros. */
void region_fini(struct region *g);

/* The size bytes at offset, at least 1 and inside the segment, are to be committed. */
void region_want(struct region *g, size_t offset, size_t size);

/*
 * Commits the next extents that are wanted: makes them readable and writable; newly committed memory
 * is zeros. Returns 1 when there may be more, 0 when there are none, or -ENOMEM.
 */
int region_commit(struct region *g);

/* What is wanted and not yet committed is wanted no longer. */
void region_unwant(struct region *g);

#endif
