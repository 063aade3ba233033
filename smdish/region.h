/*
 * region: memory of a segment: address space reserved at once, memory committed as it is needed,
 * all of it given back at the end.
 *
 * The contract is that of an enclave memory manager (SGX EMM: reserve, commit, dealloc): nothing is
 * taken from the enclave's pages until something is published, and a commit that fails is an error
 * that can be refused, not a fault later on. Commits are made in extents of REGION_EXTENT bytes, so that a
 * segment with every other block published does not use up the kernel's limit of mappings.
 *
 * Only trusted memory: the host gives the pages, an enclave's hardware keeps it out of them. The
 * memory is excluded from core dumps and wiped before it goes.
 */
#ifndef SMDISH_REGION_H
#define SMDISH_REGION_H

#include <stddef.h>
#include <stdint.h>

enum { REGION_EXTENT = 64 * 1024 };

struct region {
	uint8_t *base;    /* readable and writable only where it was committed; zeros at first */
	size_t size;      /* bytes asked for */
	size_t reserved;  /* size, rounded up to pages */
	size_t committed; /* bytes with memory behind them */
	uint8_t *extents; /* one byte an extent: 1 when committed */
};

/* Reserves size bytes (at least 1). Returns 0 or -ENOMEM. */
int region_init(struct region *g, size_t size);

/* Wipes what was committed and gives everything back. Also for a region that is all zeros. */
void region_fini(struct region *g);

/*
 * Makes the size bytes at offset, which must lie inside, readable and writable; what is new there is
 * zeros. Returns 0 or -ENOMEM: some of the extents may then be committed, and none is lost.
 */
int region_commit(struct region *g, size_t offset, size_t size);

#endif
