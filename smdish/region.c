#include "smdish/region.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/size.h"

/* The states of an extent. */
enum { RESERVED, WANTED, COMMITTED };

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

/* The first extent at or after from, before end, that has that state, or end. */
static size_t
find_extent(const struct region *g, size_t from, size_t end, uint8_t state)
{
	while (from < end && g->extents[from] != state)
		from++;
	return from;
}

/* The first extent at or after from, before end, that has another state, or end. */
static size_t
find_other(const struct region *g, size_t from, size_t end, uint8_t state)
{
	while (from < end && g->extents[from] == state)
		from++;
	return from;
}

void
region_fini(struct region *g)
{
	size_t count = extent_count(g), first, end;

	if (g->base == NULL)
		return;
	for (first = 0; (first = find_extent(g, first, count, COMMITTED)) < count; first = end) {
		end = find_other(g, first, count, COMMITTED);
		explicit_bzero(g->base + first * REGION_EXTENT, extents_size(g, first, end));
	}
	munmap(g->base, g->reserved);
	free(g->extents);
	*g = (struct region){ 0 };
}

void
region_want(struct region *g, size_t offset, size_t size)
{
	size_t extent = offset / REGION_EXTENT, end;

	assert(size > 0 && offset <= g->size && size <= g->size - offset);
	end = (offset + size - 1) / REGION_EXTENT + 1;
	for (; extent < end; extent++) {
		if (g->extents[extent] != RESERVED)
			continue;
		g->extents[extent] = WANTED;
		if (g->wanted_end == 0 || extent < g->wanted_first)
			g->wanted_first = extent;
		if (extent >= g->wanted_end)
			g->wanted_end = extent + 1;
	}
}

int
region_commit(struct region *g)
{
	size_t first = find_extent(g, g->wanted_first, g->wanted_end, WANTED);
	size_t end = find_other(g, first, g->wanted_end, WANTED);
	size_t size;

	if (first == g->wanted_end) {
		g->wanted_first = g->wanted_end = 0;
		return 0;
	}
	size = extents_size(g, first, end);
	if (mprotect(g->base + first * REGION_EXTENT, size, PROT_READ | PROT_WRITE) != 0)
		return -ENOMEM;
	memset(g->extents + first, COMMITTED, end - first);
	g->committed += size;
	g->wanted_first = end;
	return 1;
}

void
region_unwant(struct region *g)
{
	size_t extent;

	for (extent = g->wanted_first; extent < g->wanted_end; extent++)
		if (g->extents[extent] == WANTED)
			g->extents[extent] = RESERVED;
	g->wanted_first = g->wanted_end = 0;
}
