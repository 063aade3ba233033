#include "smuf/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/server/core/account.h"
#include "smuf/storefile.h"

static int
compare(struct storefile *a, struct storefile *b)
{
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE(removal_tree, storefile, by_name, compare)
RB_GENERATE(removal_tree, storefile, by_name, compare)

/* The files are removed. */
static void
finish(struct storefile *s)
{
	RB_REMOVE(removal_tree, &s->all->removals, s);
	memfile_charge_give(&s->charge);
	free(s);
}

static void
run(struct task *t, const struct budget *b)
{
	struct storefile *s = container_of(t, struct storefile, removal);

	while (storefile_remove_some(s) == -EINPROGRESS)
		if (budget_is_spent(b)) {
			schedule_add(s->charge.tree->schedule, t->queue, t);
			return;
		}
	finish(s);
}

void
removal_begin(struct storefile *s, struct memfile *f)
{
	memfile_charge_take(f, &s->charge);
	s->file = NULL;
	s->removal.run = run;
	RB_INSERT(removal_tree, &s->all->removals, s);
	schedule_add(f->tree->schedule, &f->account->queues[SCHEDULE_SESSIONS], &s->removal);
}

/* RB_FIND() would need a whole struct storefile with that name. */
static struct storefile *
find(struct removal_tree *t, const char *name)
{
	struct storefile *s = RB_ROOT(t);
	int order;

	while (s != NULL && (order = strcmp(name, s->name)) != 0)
		s = order < 0 ? RB_LEFT(s, by_name) : RB_RIGHT(s, by_name);
	return s;
}

int
removal_continue(struct removal_tree *t, const char *name)
{
	struct storefile *s = find(t, name);

	if (s == NULL)
		return 0;
	if (storefile_remove_some(s) == -EINPROGRESS)
		return -EINPROGRESS;
	schedule_remove(s->charge.tree->schedule, &s->removal);
	finish(s);
	return 0;
}
