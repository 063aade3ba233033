/*
 * timer: moments at which something is to be done, in order; a red-black tree (libbsd).
 *
 * The owner embeds a struct timer and gives a function; the loop asks for the earliest moment
 * and runs what is due. Time is passed in, so that tests and fuzzers decide what time it is.
 * A timer that is all zeros, or that was initialised and not armed, may be disarmed.
 */
#ifndef COMMON_BASE_TIMER_H
#define COMMON_BASE_TIMER_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* An empty queue. */
void timer_queue_init(struct timer_queue *q);

/* t->fire is called once, at or after deadline, unless t is disarmed; arming again moves it. */
void timer_arm(struct timer_queue *q, struct timer *t, uint64_t deadline,
    void (*fire)(struct timer *));

/* Nothing when t is not armed. */
void timer_disarm(struct timer_queue *q, struct timer *t);

/* The earliest deadline, CLOCK_NEVER when there is none. */
uint64_t timer_next(struct timer_queue *q);

/* Fires, earliest first, what is due at now. A fire function may arm and disarm any timer. */
void timer_run(struct timer_queue *q, uint64_t now);

#endif
