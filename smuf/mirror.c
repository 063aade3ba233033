#include "smuf/mirror.h"

#include <errno.h>

#include "common/base/container.h"
#include "smuf/storefile.h"

void
mirror_lock_changed(struct storefile *s)
{
	visits_add(&s->all->mirrors, s->file->tree, &s->visit, MIRROR_MS);
}

/* Without a descriptor or memory just now, it tries again. */
void
mirror_write(struct visit *v)
{
	struct storefile *s = container_of(v, struct storefile, visit);
	const struct lockqueue *q = &s->file->lock;
	uint32_t served = (uint32_t)q->grants, next = served + q->waiting;
	int error;

	/* A holder's ticket is still being served. */
	if (!TAILQ_EMPTY(&q->holders))
		served--;
	error = storefile_write_lock(s, next, served);
	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		mirror_lock_changed(s);
}
