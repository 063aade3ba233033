/*
 * schedule: which piece of work has the next turn (DESIGN 6).
 *
 * A task is work that can go on now. Tasks of one owner wait in the owner's queue, first come first
 * served; the queues take turns. So an owner with a thousand tasks gets as many turns as an owner
 * with one. Two classes of queues take turns with each other in the same way: newcomers, whose
 * handshakes are expensive and who have not said who they are, never get more than every other turn
 * while sessions have work.
 *
 * A task is in its queue or runs. When it runs it has left the queue; with more to do it adds
 * itself again, behind the owner's other tasks.
 */
#ifndef COMMON_SERVER_CORE_SCHEDULE_H
#define COMMON_SERVER_CORE_SCHEDULE_H

#include <stdbool.h>
#include <bsd/sys/queue.h>

#include "common/base/budget.h"

enum schedule_class { SCHEDULE_SESSIONS, SCHEDULE_NEWCOMERS, SCHEDULE_CLASSES };

struct schedule_queue;

/* Embedded in what has the work. All zeros: not queued. */
struct task {
	TAILQ_ENTRY(task) link;
	struct schedule_queue *queue; /* the owner's; set by schedule_add() */
	bool is_queued;
	void (*run)(struct task *, const struct budget *);
};

TAILQ_HEAD(task_list, task);

/* The tasks of one owner in one class. It outlives its tasks. */
struct schedule_queue {
	TAILQ_ENTRY(schedule_queue) link; /* while it has tasks */
	struct task_list tasks;
	enum schedule_class kind;
};

TAILQ_HEAD(schedule_queue_list, schedule_queue);

struct schedule {
	struct schedule_queue_list queues[SCHEDULE_CLASSES]; /* that have tasks */
	enum schedule_class last;                            /* the class that had the last turn */
};

void schedule_init(struct schedule *s);

/* An owner's queue without tasks. */
void schedule_queue_init(struct schedule_queue *q, enum schedule_class kind);

/* Adds t to the end of q; does nothing when t is queued already. t->run is set. */
void schedule_add(struct schedule *s, struct schedule_queue *q, struct task *t);

/* Takes t out of its queue; does nothing when t is not queued. */
void schedule_remove(struct schedule *s, struct task *t);

/* True when no task is queued. */
bool schedule_is_idle(const struct schedule *s);

/* Runs the next task with that budget. Returns false when there is none. */
bool schedule_run(struct schedule *s, const struct budget *b);

#endif
