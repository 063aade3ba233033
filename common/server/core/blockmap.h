/*
 * blockmap: the version of every block of a segment (DESIGN 3).
 *
 * The version of a block is the grant that last published it; 0 if none did, and then the block is
 * all zeros. The version of the segment is the newest version of its blocks. Grants only grow, so a
 * replica of some version lacks exactly the blocks above that version. Each group of 64 blocks
 * keeps its newest version: finding one changed block among many does not cost what the segment
 * measures.
 *
 * The map is in the server's trusted memory, 8 bytes a block.
 */
#ifndef COMMON_SERVER_CORE_BLOCKMAP_H
#define COMMON_SERVER_CORE_BLOCKMAP_H

#include <stdbool.h>
#include <stdint.h>

struct blockmap {
	uint64_t *versions;     /* of count blocks */
	uint64_t *group_newest; /* of each 64 blocks */
	uint64_t newest;        /* the version of the segment */
	uint32_t count;         /* blocks */
};

/* Consecutive blocks: first to first + count - 1. */
struct blockmap_run {
	uint32_t first;
	uint32_t count;
};

/* A map of count blocks of version 0. Returns 0 or -ENOMEM. */
int blockmap_init(struct blockmap *m, uint32_t count);

/* Frees the map; m may be all zeros. */
void blockmap_fini(struct blockmap *m);

/* The grant version published block; version must not be below the segment's. */
void blockmap_publish(struct blockmap *m, uint32_t block, uint64_t version);

/* The first block at or after from whose version is above since, or count. */
uint32_t blockmap_next(const struct blockmap *m, uint64_t since, uint32_t from);

/*
 * Finds the first run of blocks at or after from whose versions are above since. Returns false when
 * there is none. To visit all runs, begin with from 0 and continue with run->first + run->count.
 */
bool blockmap_since(const struct blockmap *m, uint64_t since, uint32_t from,
    struct blockmap_run *run);

#endif
