/*
 * blockmap: the version of every block of a segment (DESIGN 5).
 *
 * The version of a block is the grant that last published it, 0 if none did: then it is all zeros.
 * The version of the segment is the newest of them. Grants only grow, so what a replica lacks is
 * what is above the version it has; groups of 64 blocks keep their newest, so that finding one changed
 * block among many does not cost what the segment measures.
 *
 * It lives in the server, in trusted memory; 8 bytes a block.
 */
#ifndef COMMON_SERVER_CORE_BLOCKMAP_H
#define COMMON_SERVER_CORE_BLOCKMAP_H

#include <stdbool.h>
#include <stdint.h>

struct blockmap {
	uint64_t *versions;     /* count of them */
	uint64_t *group_newest; /* one for each 64 blocks */
	uint64_t newest;        /* the version of the segment */
	uint32_t count;         /* blocks */
};

/* Consecutive blocks: first to first + count - 1. */
struct blockmap_run {
	uint32_t first;
	uint32_t count;
};

/* count blocks of version 0. Returns 0 or -ENOMEM. */
int blockmap_init(struct blockmap *m, uint32_t count);

/* Also for one that is all zeros. */
void blockmap_fini(struct blockmap *m);

/* block was published by the grant version, which must not be below the segment's. */
void blockmap_publish(struct blockmap *m, uint32_t block, uint64_t version);

/*
 * Finds the first run of blocks at or after from whose version is above since. Returns false when
 * there is none. To walk over all: begin with from 0, go on with run->first + run->count.
 */
bool blockmap_since(const struct blockmap *m, uint64_t since, uint32_t from,
    struct blockmap_run *run);

#endif
