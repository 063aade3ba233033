/*
 * pool: memory for segments: small ones share mappings, large ones have one each.
 *
 * The kernel limits how many mappings a process has (vm.max_map_count, 65530). So whatever peers
 * create below the limit of all segments (-m), the number of mappings is bounded: segments of up to
 * a 16384th of -m, 64 KiB at least, are slots of slabs, each slab one mapping; the larger ones are
 * 16384 at most, with POOL_SPLITS_MOST more mappings between committed and reserved parts.
 *
 * Slots have the size of a power of two, so a slab is at most half empty address space. Memory is
 * only behind pages that were written, and a slot that comes back has none: what a slab takes is
 * never more than what its slots are charged for.
 *
 * A slot is readable and writable; it is excluded from core dumps, as are all segments.
 */
#ifndef SMDISH_POOL_H
#define SMDISH_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

enum {
	POOL_SPLITS_MOST = 16384,
	POOL_CLASSES = 48 /* of slots: 4 KiB, 8 KiB and so on */
};

struct pool_slab;
LIST_HEAD(pool_slabs, pool_slab);

struct pool {
	size_t slab_size; /* bytes; 0: not known yet */
	size_t largest;   /* bytes of the largest slot */
	uint32_t slabs;   /* mappings that are slabs */
	uint32_t splits;  /* mappings of large segments besides the first of each; see region.c */
	struct pool_slabs with_room[POOL_CLASSES];
};

/* No slabs. */
void pool_init(struct pool *p);

/* All slots have come back. */
void pool_fini(struct pool *p);

/* Segments have limit bytes in all; only the first call counts. */
void pool_set_limit(struct pool *p, uint64_t limit);

/* True when size bytes, at least 1, fit a slot. */
bool pool_has_slot_for(const struct pool *p, size_t size);

/* Gets a slot for size bytes, all zeros. Returns 0 or -ENOMEM. */
int pool_get(struct pool *p, size_t size, struct pool_slab **slab, uint8_t **base);

/* Puts a slot of that slab. No memory is behind it (madvise(2), MADV_DONTNEED). */
void pool_put(struct pool *p, struct pool_slab *slab, uint8_t *base);

#endif
