#include "common/wire/delta.h"

#include <errno.h>

#include "common/wire/wire.h"

void
delta_begin(struct delta *d, struct wire_reader *r, uint32_t size)
{
	*d = (struct delta){ .reader = r, .size = size };
	d->left = wire_get_u32(r);
}

int
delta_next(struct delta *d, struct delta_piece *piece)
{
	struct wire_reader *r = d->reader;
	struct delta_piece p;

	if (r->failed)
		return -EPROTO;
	if (d->left == 0)
		return 0;
	p.offset = wire_get_u32(r);
	p.length = wire_get_u32(r);
	p.bytes = wire_get_bytes(r, p.length);
	if (p.bytes == NULL)
		return -EPROTO;
	if (p.length == 0 || p.offset < d->end || p.offset > d->size ||
	    p.length > d->size - p.offset)
		return -EINVAL;
	d->left--;
	d->end = p.offset + p.length;
	*piece = p;
	return 1;
}
