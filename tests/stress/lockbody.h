/*
 * lockbody: the one body that validates every kind of lock, over threads and over processes.
 *
 * Inside the lock a counter goes up in ten steps, none of them atomic. A second holder shows at
 * once, or in the sum at the end. The body takes the lock in all ways in turn: by waiting, by
 * trying, and by waiting for a while.
 */
#ifndef TESTS_STRESS_LOCKBODY_H
#define TESTS_STRESS_LOCKBODY_H

#include <stdbool.h>
#include <stdint.h>

enum { LOCKBODY_STEPS = 10 };

/* A kind of lock. Both return 0 or a negative errno. */
struct lockbody_ops {
	/* deadline: CLOCK_MONOTONIC in ns, CLOCK_NEVER, or 0 for a try (-EAGAIN); -ETIMEDOUT. */
	int (*take)(void *lock, uint64_t deadline);
	int (*release)(void *lock);
};

/* The data that the lock protects, all zeros at first, in memory that all callers share. */
struct lockbody {
	volatile uint64_t steps[LOCKBODY_STEPS];
};

/* How often the lock was taken in each way, for tests that require all ways. */
struct lockbody_ways {
	unsigned waited, tried, tried_in_vain, timed, timed_out;
};

/*
 * Executes that many critical sections. ways may be NULL; each caller passes another seed. Returns
 * NULL, or the error in words.
 */
const char *lockbody_run(struct lockbody *b, const struct lockbody_ops *ops, void *lock,
    unsigned sections, unsigned seed, struct lockbody_ways *ways);

/* True when exactly that many sections were executed in all. */
bool lockbody_is_exact(const struct lockbody *b, uint64_t sections);

#endif
