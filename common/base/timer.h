/*
 * timer: deadlines in order, each with a function to call; a red-black tree (libbsd).
 *
 * The owner embeds a struct timer and sets a function; the event loop asks for the earliest
 * deadline and runs the timers that are due. The caller passes the time in, so that tests and
 * fuzzers control it. A timer that is all zeros, or not armed, may be disarmed.
 */
#ifndef COMMON_BASE_TIMER_H
#define COMMON_BASE_TIMER_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/budget.h"

struct timer {
	RB_ENTRY(timer) link;
	uint64_t deadline; /* nanoseconds of CLOCK_MONOTONIC */
	bool armed;
	void (*fire)(struct timer *);
};

RB_HEAD(timer_tree, timer);

struct timer_queue {
	struct timer_tree tree;
};

/* Makes an empty queue. */
void timer_queue_init(struct timer_queue *q);

/*
 * Calls fire once, at or after deadline, unless t is disarmed before. Arming t again moves its
 * deadline.
 */
void timer_arm(struct timer_queue *q, struct timer *t, uint64_t deadline,
    void (*fire)(struct timer *));

/* Does nothing when t is not armed. */
void timer_disarm(struct timer_queue *q, struct timer *t);

/* The earliest deadline, CLOCK_NEVER when there is none. */
uint64_t timer_next(struct timer_queue *q);

/*
 * Fires the timers that are due at now, earliest first, as long as b lasts; at least one. A fire
 * function may arm and disarm any timer.
 */
void timer_run(struct timer_queue *q, uint64_t now, const struct budget *b);

#endif
