#include "common/server/core/publishing.h"

#include <errno.h>

#include "common/server/core/core.h"
#include "common/server/core/request.h"

int
publishing_begin(struct session *s, struct desc *d, struct request *q, uint8_t flags,
    int (*end)(struct session *s, struct desc *d, int error))
{
	const struct store_ops *store = s->server->store;

	s->publishing = (struct publishing){ .desc = d,
		.publication = { .grant = d->claim.grant, .body = q->body },
		.apply = s->version == PROTOCOL_VERSION_2 ? store->release : store->unlock,
		.end = end,
		.begun = s->turns,
		.tag = q->tag,
		.flags = flags };
	return publishing_continue(s, q->budget);
}

bool
publishing_is_active(const struct session *s)
{
	return s->publishing.desc != NULL;
}

int
publishing_continue(struct session *s, const struct budget *b)
{
	struct publishing *p = &s->publishing;
	struct desc *d = p->desc;
	int error = p->apply(d->file, &p->publication, b);

	if (error == -EINPROGRESS)
		return error;
	p->desc = NULL;
	if (error == 0) {
		d->file->published = true;
		d->file->bytes_released += p->publication.body.left;
	}
	return p->end(s, d, error);
}
