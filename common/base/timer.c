#include "common/base/timer.h"

#include "common/base/clock.h"

static int
compare(struct timer *a, struct timer *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline ? -1 : 1;
	return (uintptr_t)a < (uintptr_t)b ? -1 : a != b;
}

RB_PROTOTYPE(timer_tree, timer, link, compare)
RB_GENERATE(timer_tree, timer, link, compare)

void
timer_queue_init(struct timer_queue *q)
{
	RB_INIT(&q->tree);
}

void
timer_arm(struct timer_queue *q, struct timer *t, uint64_t deadline, void (*fire)(struct timer *))
{
	timer_disarm(q, t);
	t->fire = fire;
	if (deadline == CLOCK_NEVER)
		return;
	t->deadline = deadline;
	t->armed = true;
	RB_INSERT(timer_tree, &q->tree, t);
}

void
timer_disarm(struct timer_queue *q, struct timer *t)
{
	if (!t->armed)
		return;
	t->armed = false;
	RB_REMOVE(timer_tree, &q->tree, t);
}

uint64_t
timer_next(struct timer_queue *q)
{
	struct timer *t = RB_MIN(timer_tree, &q->tree);

	return t == NULL ? CLOCK_NEVER : t->deadline;
}

void
timer_run(struct timer_queue *q, uint64_t now, const struct budget *b)
{
	struct timer *t;

	while ((t = RB_MIN(timer_tree, &q->tree)) != NULL && t->deadline <= now) {
		timer_disarm(q, t);
		t->fire(t);
		if (budget_is_spent(b))
			break;
	}
}
