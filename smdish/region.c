#include "smdish/region.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/size.h"

static size_t
extent_count(const struct region *g)
{
	return (g->reserved + REGION_EXTENT - 1) / REGION_EXTENT;
}

/* Bytes of the extents from first to before end; the last one of the region may be shorter. */
static size_t
extents_size(const struct region *g, size_t first, size_t end)
{
	size_t to = end * REGION_EXTENT;

	return (to < g->reserved ? to : g->reserved) - first * REGION_EXTENT;
}

int
region_init(struct region *g, size_t size)
{
	struct region r = { .size = size };

	assert(size > 0);
	r.reserved = (size + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK;
	r.extents = calloc(extent_count(&r), 1);
	if (r.extents == NULL)
		return -ENOMEM;
	r.base = mmap(NULL, r.reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	    0);
	if (r.base == MAP_FAILED) {
		free(r.extents);
		return -ENOMEM;
	}
	madvise(r.base, r.reserved, MADV_DONTDUMP);
	*g = r;
	return 0;
}

/* The first extent at or after from whose state is committed, or count. */
static size_t
find_extent(const struct region *g, size_t from, size_t count, bool committed)
{
	while (from < count && (g->extents[from] != 0) != committed)
		from++;
	return from;
}

void
region_fini(struct region *g)
{
	size_t count = extent_count(g), first, end;

	if (g->base == NULL)
		return;
	for (first = 0; (first = find_extent(g, first, count, true)) < count; first = end) {
		end = find_extent(g, first, count, false);
		explicit_bzero(g->base + first * REGION_EXTENT, extents_size(g, first, end));
	}
	munmap(g->base, g->reserved);
	free(g->extents);
	*g = (struct region){ 0 };
}

int
region_commit(struct region *g, size_t offset, size_t size)
{
	size_t first, last, end;

	assert(offset <= g->size && size <= g->size - offset);
	if (size == 0)
		return 0;
	last = (offset + size - 1) / REGION_EXTENT + 1;
	for (first = offset / REGION_EXTENT; (first = find_extent(g, first, last, false)) < last;
	     first = end) {
		end = find_extent(g, first, last, true);
		if (mprotect(g->base + first * REGION_EXTENT, extents_size(g, first, end),
			PROT_READ | PROT_WRITE) != 0)
			return -ENOMEM;
		memset(g->extents + first, 1, end - first);
		g->committed += extents_size(g, first, end);
	}
	return 0;
}
