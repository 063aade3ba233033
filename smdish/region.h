/*
 * region: the memory of a segment: addresses are reserved at once, memory is committed when it is
 * needed, and both are freed at the end.
 *
 * The contract is that of an enclave memory manager (SGX EMM: reserve, commit, dealloc): a segment
 * takes no pages of the enclave until something is published, and a commit that fails is an error
 * that the server can refuse, not a fault later. Commits are made in extents of REGION_EXTENT
 * bytes. When the pool has too many mappings (pool.h), or the kernel will make no more, a
 * commit opens the whole region, which is one mapping then; memory is still only behind what was
 * written, and only the extents that are committed count.
 *
 * The memory is trusted: the host provides the pages, and in an enclave the hardware keeps the host
 * out of them. It is excluded from core dumps, and its owner wipes it before it is freed, piece by
 * piece.
 */
#ifndef SMDISH_REGION_H
#define SMDISH_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REGION_EXTENT = 64 * 1024, REGION_WIPE = 4 * REGION_EXTENT };

struct pool;
struct pool_slab;

struct region {
	uint8_t *base;    /* readable and writable where committed; zeros at first */
	size_t size;      /* bytes of the segment */
	size_t reserved;  /* size, rounded up to pages */
	size_t committed; /* bytes with memory behind them */
	uint8_t *extents; /* one byte an extent, an enum of region.c */
	size_t wiped;     /* extents before it are wiped */

	/* The extents that are wanted are in here. */
	size_t wanted_first, wanted_end;

	struct pool *pool;
	struct pool_slab *slab; /* NULL when the region has a mapping of its own */
	bool is_open;           /* readable and writable as a whole: a commit needs no call */
	uint32_t splits;        /* mappings besides the first; see pool.h */
};

/* Reserves size bytes (at least 1). Returns 0 or -ENOMEM. */
int region_init(struct region *g, struct pool *pool, size_t size);

/*
 * Wipes the next REGION_WIPE bytes or less of the committed memory, and gives their pages back.
 * Returns true when there are more. Nothing but this and region_fini() follows.
 */
bool region_wipe(struct region *g);

/* Frees the region, which is wiped; g may be all zeros. */
void region_fini(struct region *g);

/* The size bytes at offset, at least 1 and inside the segment, are to be committed. */
void region_want(struct region *g, size_t offset, size_t size);

/*
 * Commits the next extents that are wanted: makes them readable and writable; newly committed
 * memory is zeros. Returns 1 when there may be more, 0 when there are none, or -ENOMEM.
 */
int region_commit(struct region *g);

/* Forgets the extents that are wanted and not yet committed. */
void region_unwant(struct region *g);

#endif
