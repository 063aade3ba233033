#include "common/server/core/blockmap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { GROUP = 64 }; /* blocks */

int
blockmap_init(struct blockmap *m, uint32_t count)
{
	struct blockmap b = { .count = count };

	b.versions = calloc(count, sizeof *b.versions);
	b.group_newest = calloc(count / GROUP + 1, sizeof *b.group_newest);
	if (b.versions == NULL || b.group_newest == NULL) {
		blockmap_fini(&b);
		return -ENOMEM;
	}
	*m = b;
	return 0;
}

void
blockmap_fini(struct blockmap *m)
{
	free(m->versions);
	free(m->group_newest);
	*m = (struct blockmap){ 0 };
}

void
blockmap_publish(struct blockmap *m, uint32_t block, uint64_t version)
{
	assert(block < m->count && version >= m->newest);
	m->versions[block] = version;
	m->group_newest[block / GROUP] = version;
	m->newest = version;
}

uint32_t
blockmap_next(const struct blockmap *m, uint64_t since, uint32_t from)
{
	uint32_t block = m->newest <= since ? m->count : from;

	while (block < m->count) {
		if (block % GROUP == 0 && m->group_newest[block / GROUP] <= since)
			block += GROUP;
		else if (m->versions[block] <= since)
			block++;
		else
			return block;
	}
	return m->count;
}

bool
blockmap_since(const struct blockmap *m, uint64_t since, uint32_t from, struct blockmap_run *run)
{
	uint32_t first, end;

	first = blockmap_next(m, since, from);
	if (first == m->count)
		return false;
	for (end = first + 1; end < m->count && m->versions[end] > since; end++)
		;
	*run = (struct blockmap_run){ first, end - first };
	return true;
}
