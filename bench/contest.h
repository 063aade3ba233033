/*
 * contest: processes, of one thread or several, that take one lock of the
 * world from each other for a fixed time.
 *
 * What it costs to hand the lock over: everybody always wants it, so each critical section ends
 * with handing it over, and nothing else happens meanwhile.  The ends of all critical
 * sections, whoever did them, are put in order; a sample is the time from one of them to the one as many
 * later as there are workers (usually all have had their turn), divided by that number.  The mean
 * of the samples is the time of the windows divided by the critical sections in them.  The
 * median leaves out what else the machine did, as it does for the round trips.
 *
 * The shares are the counts of each worker in a window, from when the last of them has begun to when the first
 * stops: in that time all want the lock.
 *
 * With a segment, every critical section adds 1 to a number in it, and after each window that
 * number must be exactly as many as there were.
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
	struct stats cost; /* of handing over, nanoseconds; of all windows */
	/* Of the window where shares were furthest apart: */
	double spread; /* (most - least) / mean */
	uint64_t least;
	uint64_t most;
};

struct contest;

/*
 * Start the workers; they mount what conf says and use the memory file at path.
 * Both strings, and *plan, must stay.  -errno.
 */
int contest_create(struct contest **out, const struct contest_plan *plan, const char *conf,
    const char *path);

/*
 * Let them compete for a moment that does not count, and then for one window.
 * At most CONTEST_WINDOWS times.  -EPIPE when a worker has failed (it has said why), -EBADMSG when
 * the number in the segment is wrong (this is said, too).
 */
int contest_measure(struct contest *contest);

/* What there was to see; once, at the end. */
void contest_tell(struct contest *contest, struct contest_result *out);

/* NULL is fine.  The workers have ended when this returns. */
void contest_destroy(struct contest *contest);

#endif
