#include "smdish/region.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/size.h"
#include "smdish/pool.h"

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

/* Reserves addresses for a region with a mapping of its own. */
static uint8_t *
reserve(size_t size)
{
	uint8_t *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	    0);

	if (base == MAP_FAILED)
		return NULL;
	madvise(base, size, MADV_DONTDUMP);
	return base;
}

int
region_init(struct region *g, struct pool *pool, size_t size)
{
	struct region r = { .size = size, .pool = pool };

	assert(size > 0);
	r.reserved = (size + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK;
	r.is_open = pool_has_slot_for(pool, r.reserved);
	r.extents = calloc(extent_count(&r), 1);
	if (r.extents == NULL)
		return -ENOMEM;
	if (!r.is_open)
		r.base = reserve(r.reserved);
	else if (pool_get(pool, r.reserved, &r.slab, &r.base) != 0)
		r.base = NULL;
	if (r.base == NULL) {
		free(r.extents);
		return -ENOMEM;
	}
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

bool
region_wipe(struct region *g)
{
	size_t count = extent_count(g), end, size;

	g->wiped = find_extent(g, g->wiped, count, COMMITTED);
	if (g->wiped == count)
		return false;
	end = g->wiped + REGION_WIPE / REGION_EXTENT;
	end = find_other(g, g->wiped, end < count ? end : count, COMMITTED);
	size = extents_size(g, g->wiped, end);
	explicit_bzero(g->base + g->wiped * REGION_EXTENT, size);
	madvise(g->base + g->wiped * REGION_EXTENT, size, MADV_DONTNEED);
	g->wiped = end;
	return true;
}

void
region_fini(struct region *g)
{
	if (g->base == NULL)
		return;
	if (g->slab != NULL)
		pool_put(g->pool, g->slab, g->base);
	else
		munmap(g->base, g->reserved);
	g->pool->splits -= g->splits;
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

/*
 * How many mappings a commit of the extents from first to before end adds. It divides the reserved
 * extents around it, and joins the committed ones.
 */
static int
splits_of_commit(const struct region *g, size_t first, size_t end)
{
	int splits = 0;

	if (first > 0)
		splits += g->extents[first - 1] == COMMITTED ? -1 : 1;
	if (end < extent_count(g))
		splits += g->extents[end] == COMMITTED ? -1 : 1;
	return splits;
}

static void
add_splits(struct region *g, int splits)
{
	g->splits += (uint32_t)splits;
	g->pool->splits += (uint32_t)splits;
}

/* Makes the extents readable and writable, or all of the region. Returns 0 or -ENOMEM. */
static int
make_accessible(struct region *g, size_t first, size_t end)
{
	int splits = splits_of_commit(g, first, end);

	if (splits <= 0 || g->pool->splits + (uint32_t)splits <= POOL_SPLITS_MOST) {
		if (mprotect(g->base + first * REGION_EXTENT, extents_size(g, first, end),
			PROT_READ | PROT_WRITE) == 0) {
			add_splits(g, splits);
			return 0;
		}
	}
	if (mprotect(g->base, g->reserved, PROT_READ | PROT_WRITE) != 0)
		return -ENOMEM;
	add_splits(g, -(int)g->splits);
	g->is_open = true;
	return 0;
}

int
region_commit(struct region *g)
{
	size_t first = find_extent(g, g->wanted_first, g->wanted_end, WANTED);
	size_t end = find_other(g, first, g->wanted_end, WANTED);

	if (first == g->wanted_end) {
		g->wanted_first = g->wanted_end = 0;
		return 0;
	}
	if (!g->is_open && make_accessible(g, first, end) != 0)
		return -ENOMEM;
	memset(g->extents + first, COMMITTED, end - first);
	g->committed += extents_size(g, first, end);
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
