/*
 * contest: processes, of one thread or several, that take one lock of the world from each other for
 * a fixed time: a window.
 *
 * A contest measures the cost of handing the lock over. All workers always want the lock, so each
 * critical section ends with a handover, and nothing else happens meanwhile. The ends of the
 * critical sections of all workers are put in order. With N workers, a sample is the time from one
 * end to the Nth after it, divided by N: usually each worker has had the lock once in that time.
 * The mean of the samples is the time of the windows divided by the critical sections in them. The
 * median leaves out other work of the machine, as it does for the round trips.
 *
 * The share of a worker is its number of critical sections in a window, from the moment when the
 * last worker has begun to the moment when the first one stops: in that time all want the lock.
 *
 * With a segment, each critical section adds 1 to a number in it. After each window that number
 * must equal the number of critical sections so far.
 */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include <stddef.h>
#include <stdint.h>

#include "bench/stats.h"

enum { CONTEST_WINDOWS = 3 };

struct contest_plan {
	const char *work; /* in words */
	size_t processes;
	size_t threads; /* of each process */
	size_t size;    /* of the segment: 0, or at least 8 bytes */
	size_t seconds; /* that a window lasts */
};

struct contest_result {
	struct stats cost; /* of a handover, of all windows, nanoseconds */
	/* Of the window with the greatest spread of shares: */
	double spread; /* (most - least) / mean */
	uint64_t least;
	uint64_t most;
};

struct contest;

/*
 * Starts the workers, which load the mount file conf and open the memory file at path. *plan and
 * conf must outlive the contest. Returns 0 or a negative errno.
 */
int contest_create(struct contest **out, const struct contest_plan *plan, const char *conf,
    const char *path);

/*
 * Lets the workers compete for a moment that does not count, and then for one window. At most
 * CONTEST_WINDOWS times. Returns 0, -EPIPE when a worker failed, which has printed why, -EBADMSG
 * after printing that the number in the segment is wrong, or another negative errno.
 */
int contest_measure(struct contest *contest);

/* Computes the result of all windows; once, after the last. */
void contest_summarise(struct contest *contest, struct contest_result *out);

/* Kills the workers; they have ended when this returns. NULL does nothing. */
void contest_destroy(struct contest *contest);

#endif
