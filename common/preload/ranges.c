#include "common/preload/ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "common/client/smclient.h"

static void
add(struct ranges *r, int64_t begin, int64_t end, int mode)
{
	if (begin < end)
		r->list[r->count++] = (struct range){ begin, end, mode };
}

int
ranges_with(struct ranges *out, const struct ranges *r, const struct range *range)
{
	const struct range *old;
	struct ranges after = { .list = calloc(2 * r->count + 1, sizeof *after.list) };

	if (after.list == NULL)
		return -ENOMEM;
	for (old = r->list; old < r->list + r->count; old++) {
		if (old->end <= range->begin || old->begin >= range->end) {
			add(&after, old->begin, old->end, old->mode);
			continue;
		}
		add(&after, old->begin, range->begin, old->mode);
		add(&after, range->end, old->end, old->mode);
	}
	if (range->mode != 0)
		add(&after, range->begin, range->end, range->mode);
	*out = after;
	return 0;
}

void
ranges_clear(struct ranges *r)
{
	free(r->list);
	*r = (struct ranges){ .count = 0 };
}

int
ranges_mode(const struct ranges *r)
{
	int mode = 0;
	size_t i;

	for (i = 0; i < r->count; i++)
		if (mode != SM_WRITE)
			mode = r->list[i].mode;
	return mode;
}
