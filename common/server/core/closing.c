#include "common/server/core/closing.h"

#include "common/server/core/claims.h"
#include "common/server/core/core.h"

/* The first descriptor of the list but d, or NULL. */
static struct desc *
first_other(const struct desc_list *list, const struct desc *d)
{
	struct desc *first = TAILQ_FIRST(list);

	return first == NULL || first != d ? first : TAILQ_NEXT(first, link);
}

/* The end of a claim that waits may grant others that wait, which changes the lists. */
void
closing_drop_others(struct session *s, const struct desc *d)
{
	struct desc *i;

	while ((i = first_other(&s->pending, d)) != NULL ||
	    (i = first_other(&s->granted, d)) != NULL || (i = first_other(&s->held, d)) != NULL)
		claims_drop(i);
}

/* Ends the claim of d, whose descriptor will be closed. */
static void
end_with_desc(struct desc *d, bool answer)
{
	if (answer)
		claims_end(d);
	else
		claims_drop(d);
	lockqueue_leave(&d->file->lock, &d->poller);
}

void
closing_close(struct desc *d, bool answer)
{
	end_with_desc(d, answer);
	fdtable_close(&d->session->table, d);
}

void
closing_close_table(struct session *s, bool answer)
{
	struct desc *d;
	uint32_t fd;

	for (fd = 0; (d = fdtable_next(&s->table, fd)) != NULL; fd = d->fd + 1)
		end_with_desc(d, answer);
	fdtable_fini(&s->table);
}
