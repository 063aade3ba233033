/*
 * segment: the segment of a smdish memory file: its memory, and the publication under way.
 *
 * store.c has the grants and the life of the file, publish.c the publications.
 */
#ifndef SMDISH_SEGMENT_H
#define SMDISH_SEGMENT_H

#include <stdint.h>

#include "common/server/core/memfile.h"
#include "smdish/marks.h"
#include "smdish/region.h"

/* All zeros for a pure lock. */
struct segment {
	struct region region;
	struct marks marks; /* the blocks that the publication under way changes */
	size_t committed;   /* of the region, as of the last publication: what others see */
};

/* The store's data of f. */
static inline struct segment *
segment_of(const struct memfile *f)
{
	return f->store_data;
}

#endif
