/*
 * lockbody: the one body that validates every kind of lock, over threads and over processes.
 *
 * Inside the lock a counter goes up in ten steps, none of them atomic; whoever is not alone there is seen, by itself or
 * by the sum at the end. The lock is taken in all the ways there are, in turns: waiting, trying, and waiting for a while.
 */
#ifndef TESTS_STRESS_LOCKBODY_H
#define TESTS_STRESS_LOCKBODY_H

#include <stdbool.h>
#include <stdint.h>

enum { LOCKBODY_STEPS = 10 };

/* A kind of lock. Both return 0 or a negative errno. */
struct lockbody_ops {
	/* deadline: nanoseconds of CLOCK_MONOTONIC, CLOCK_NEVER, or 0 for a try (-EAGAIN); -ETIMEDOUT. */
	int (*take)(void *lock, uint64_t deadline);
	int (*release)(void *lock);
};

/* What the lock protects, all zeros at first: in memory that all who run the body share. */
struct lockbody {
	volatile uint64_t steps[LOCKBODY_STEPS];
};

/* How the lock was had, for who wants to know that all ways were gone. */
struct lockbody_ways {
	unsigned waited, tried, tried_in_vain, timed, timed_out;
};

/*
 * So many critical sections. Returns NULL, or what is wrong. ways may be NULL; seed: another one for each who runs it.
 */
const char *lockbody_run(struct lockbody *b, const struct lockbody_ops *ops, void *lock,
    unsigned sections, unsigned seed, struct lockbody_ways *ways);

/* True when it was so many sections in all. */
bool lockbody_is_exact(const struct lockbody *b, uint64_t sections);

#endif
