#include "smdish/parts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

int
parts_init(struct parts *p, uint32_t count)
{
	struct part *of = calloc(count, sizeof *of);

	if (of == NULL)
		return -ENOMEM;
	*p = (struct parts){ .of = of };
	return 0;
}

void
parts_fini(struct parts *p)
{
	free(p->of);
	*p = (struct parts){ 0 };
}

void
parts_widen(struct parts *p, uint32_t block, uint32_t first, uint32_t end)
{
	struct part *part = &p->of[block];

	if (first < part->first)
		part->first = (uint16_t)first;
	if (end > part->end)
		part->end = (uint16_t)end;
}

void
parts_add(struct parts *p, uint32_t block, uint32_t first, uint32_t end, uint64_t old,
    uint64_t newest)
{
	struct part *part = &p->of[block], before = *part;

	parts_widen(p, block, first, end);
	if (before.end == 0 || part->end - part->first > PARTS_MOST || newest - old >= PARTS_RECENT)
		*part = (struct part){ old, (uint16_t)first, (uint16_t)end };
}

const struct part *
parts_get(const struct parts *p, uint32_t block, uint64_t since)
{
	const struct part *part = &p->of[block];

	/* A replica of version 0 is of unknown bytes. */
	return since > 0 && since >= part->since && part->end - part->first <= PARTS_MOST ? part :
											    NULL;
}
