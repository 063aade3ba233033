#include "smuf/visits.h"

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/memfile.h"

static void
timer_fired(struct timer *t)
{
	struct visits *v = container_of(t, struct visits, timer);

	schedule_add(v->tree->schedule, v->queue, &v->task);
}

static bool
has_due(const struct visits *v)
{
	const struct visit *e = TAILQ_FIRST(&v->list);

	return e != NULL && e->due <= *v->tree->now;
}

/* Continues when the first of the list is due. */
static void
wait_for_first(struct visits *v)
{
	const struct visit *e = TAILQ_FIRST(&v->list);

	if (e == NULL)
		return;
	if (has_due(v))
		schedule_add(v->tree->schedule, v->queue, &v->task);
	else
		timer_arm(v->tree->timers, &v->timer, e->due, timer_fired);
}

static void
run(struct task *t, const struct budget *b)
{
	struct visits *v = container_of(t, struct visits, task);
	struct visit *e;

	while (has_due(v)) {
		e = TAILQ_FIRST(&v->list);
		TAILQ_REMOVE(&v->list, e, link);
		e->is_listed = false;
		v->visit(e);
		if (budget_is_spent(b))
			break;
	}
	wait_for_first(v);
}

void
visits_init(struct visits *v, struct schedule_queue *queue, void (*visit)(struct visit *))
{
	*v = (struct visits){ .task = { .run = run }, .queue = queue, .visit = visit };
	TAILQ_INIT(&v->list);
}

void
visits_add(struct visits *v, struct memfile_tree *tree, struct visit *e, uint64_t ms)
{
	if (e->is_listed)
		return;
	v->tree = tree;
	e->is_listed = true;
	e->due = clock_after_ms(*tree->now, ms);
	TAILQ_INSERT_TAIL(&v->list, e, link);
	if (TAILQ_FIRST(&v->list) == e)
		wait_for_first(v);
}

void
visits_remove(struct visits *v, struct visit *e)
{
	if (!e->is_listed)
		return;
	e->is_listed = false;
	TAILQ_REMOVE(&v->list, e, link);
	if (TAILQ_EMPTY(&v->list)) {
		timer_disarm(v->tree->timers, &v->timer);
		schedule_remove(v->tree->schedule, &v->task);
	}
}
