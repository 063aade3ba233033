/*
 * parts: which bytes of each block its last publications changed.
 *
 * Processes often change a few bytes of a block, in turn. A replica that has the version before
 * these changes needs these bytes only, not the whole block: for each block one range of bytes is
 * kept, and the version from which on it is all that a replica lacks. The next publication
 * widens the range. It begins anew when it would become larger than PARTS_MOST, or when the block's
 * last publication is so long ago that few replicas lack it: PARTS_RECENT versions.
 *
 * In the server's trusted memory, 16 bytes a block.
 */
#ifndef SMDISH_PARTS_H
#define SMDISH_PARTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PARTS_MOST = 2048, /* bytes of a part: with more, the whole block is sent */
	PARTS_RECENT = 64
};

struct part {
	uint64_t since;      /* a replica of this version or a later one lacks at most the range */
	uint16_t first, end; /* bytes of the block, end excluded; both 0: never published */
};

struct parts {
	struct part *of; /* count blocks */
};

/* For a segment of count blocks, of which none was published. Returns 0 or -ENOMEM. */
int parts_init(struct parts *p, uint32_t count);

/* Frees; p may be all zeros. */
void parts_fini(struct parts *p);

/*
 * A publication changes the bytes from first up to end of a block. Before it, the block's version
 * was old, 0 if it was never published, and the segment's newest.
 */
void parts_add(struct parts *p, uint32_t block, uint32_t first, uint32_t end, uint64_t old,
    uint64_t newest);

/* The same publication changes these bytes of the block, too. */
void parts_widen(struct parts *p, uint32_t block, uint32_t first, uint32_t end);

/*
 * The part of a block that a replica of version since lacks, since being below the block's version.
 * NULL: it needs the whole block.
 */
const struct part *parts_get(const struct parts *p, uint32_t block, uint64_t since);

#endif
