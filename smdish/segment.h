/*
 * segment: the segment of a smdish memory file: its memory, the publication under way, and its end.
 *
 * store.c has the grants and the life of the file, publish.c the publications. A segment ends with
 * its file, but its memory is wiped first: what takes long is a task of the account that the file
 * was charged to, and the charge stays until the memory is free.
 */
#ifndef SMDISH_SEGMENT_H
#define SMDISH_SEGMENT_H

#include <stdint.h>

#include "common/server/core/memfile.h"
#include "common/server/core/schedule.h"
#include "smdish/marks.h"
#include "smdish/parts.h"
#include "smdish/pool.h"
#include "smdish/region.h"

/* The store's data of all files. */
struct segments {
	struct pool pool;
};

/* All zeros for a pure lock, but for wipe. */
struct segment {
	struct region region;
	struct marks marks; /* the blocks that the publication under way changes */
	struct parts parts; /* of the blocks, which the last ones changed */
	size_t committed;   /* of the region, as of the last publication: what others see */

	/* After the end of the file: wipes the region, which stays charged. */
	struct task wipe;
	struct memfile_charge charge;
};

/* The store's data of f. */
static inline struct segment *
segment_of(const struct memfile *f)
{
	return f->store_data;
}

/* Begins to wipe and free s, now or in a task: f, whose segment it was, ends. */
void segment_end(struct segment *s, struct memfile *f);

#endif
