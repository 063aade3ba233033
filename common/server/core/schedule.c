#include "common/server/core/schedule.h"

#include <stddef.h>

void
schedule_init(struct schedule *s)
{
	int kind;

	for (kind = 0; kind < SCHEDULE_CLASSES; kind++)
		TAILQ_INIT(&s->queues[kind]);
	s->last = SCHEDULE_NEWCOMERS;
}

void
schedule_queue_init(struct schedule_queue *q, enum schedule_class kind)
{
	TAILQ_INIT(&q->tasks);
	q->kind = kind;
}

void
schedule_add(struct schedule *s, struct schedule_queue *q, struct task *t)
{
	if (t->is_queued)
		return;
	if (TAILQ_EMPTY(&q->tasks))
		TAILQ_INSERT_TAIL(&s->queues[q->kind], q, link);
	TAILQ_INSERT_TAIL(&q->tasks, t, link);
	t->queue = q;
	t->is_queued = true;
}

void
schedule_remove(struct schedule *s, struct task *t)
{
	struct schedule_queue *q = t->queue;

	if (!t->is_queued)
		return;
	TAILQ_REMOVE(&q->tasks, t, link);
	t->is_queued = false;
	if (TAILQ_EMPTY(&q->tasks))
		TAILQ_REMOVE(&s->queues[q->kind], q, link);
}

bool
schedule_is_idle(const struct schedule *s)
{
	int kind;

	for (kind = 0; kind < SCHEDULE_CLASSES; kind++)
		if (!TAILQ_EMPTY(&s->queues[kind]))
			return false;
	return true;
}

/* The first queue of the class that did not have the last turn, or else of the one that had it. */
static struct schedule_queue *
next_queue(const struct schedule *s)
{
	enum schedule_class other = s->last == SCHEDULE_SESSIONS ? SCHEDULE_NEWCOMERS :
								   SCHEDULE_SESSIONS;
	struct schedule_queue *q = TAILQ_FIRST(&s->queues[other]);

	return q != NULL ? q : TAILQ_FIRST(&s->queues[s->last]);
}

bool
schedule_run(struct schedule *s, const struct budget *b)
{
	struct schedule_queue *q = next_queue(s);
	struct task *t;

	if (q == NULL)
		return false;
	s->last = q->kind;
	t = TAILQ_FIRST(&q->tasks);
	schedule_remove(s, t);
	if (!TAILQ_EMPTY(&q->tasks)) {
		TAILQ_REMOVE(&s->queues[q->kind], q, link);
		TAILQ_INSERT_TAIL(&s->queues[q->kind], q, link);
	}
	t->run(t, b);
	return true;
}
