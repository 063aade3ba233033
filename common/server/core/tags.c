#include "common/server/core/tags.h"

#include <assert.h>
#include <stddef.h>

static int
compare(struct desc *a, struct desc *b)
{
	return a->tag < b->tag ? -1 : a->tag > b->tag;
}

RB_PROTOTYPE(tags, desc, tag_link, compare)
RB_GENERATE(tags, desc, tag_link, compare)

void
tags_init(struct tags *t)
{
	RB_INIT(t);
}

struct desc *
tags_find(struct tags *t, uint32_t tag)
{
	struct desc key = { .tag = (uint16_t)tag };

	return tag > UINT16_MAX ? NULL : RB_FIND(tags, t, &key);
}

void
tags_add(struct tags *t, struct desc *d, uint16_t tag)
{
	struct desc *other;

	assert(!d->has_tag);
	d->tag = tag;
	d->has_tag = true;
	other = RB_INSERT(tags, t, d);
	assert(other == NULL);
}

void
tags_remove(struct tags *t, struct desc *d)
{
	if (!d->has_tag)
		return;
	d->has_tag = false;
	RB_REMOVE(tags, t, d);
}
