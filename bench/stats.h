/*
 * stats: what is said about an array of timings.
 *
 * A figure of the benchmark is the median of single timings, never a mean:
 * on a machine that does other things as well, a mean tells about those.
 * The mean is kept beside it, because a median can hide that a distribution has
 * two humps, and exchanges on one core do: sometimes the receiver of a message
 * runs at once, sometimes when the sender waits.
 * Percentiles are the nearest rank: always a value that was measured.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

struct stats {
	size_t count;    /* samples */
	uint64_t median; /* all in the unit of the samples */
	uint64_t p99;
	uint64_t min;
	uint64_t max;
	double mean;
};

/*
 * Tell about `count` samples, which are sorted in place.
 * No samples give all zeros.
 */
void stats_compute(struct stats *out, uint64_t *samples, size_t count);

/*
 * How far apart counts are that ought to be equal: (most - least) / mean.  0 if
 * there are none, or all are 0.
 */
double stats_spread(const uint64_t *counts, size_t count);

#endif
