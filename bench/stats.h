/*
 * stats: timings in a few figures.
 *
 * A figure of the benchmark is the median of single timings, never a mean: on a machine that does
 * other work too, a mean measures that work. The mean stands beside it, because a median can hide
 * that a distribution has two peaks, as exchanges on one core do: the receiver of a message runs
 * sometimes at once, and sometimes when the sender waits. Percentiles are the nearest rank: always
 * a value that was measured.
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

/* Sorts samples in place, the smallest first. */
void stats_sort(uint64_t *samples, size_t count);

/* Computes the figures of count samples, which it sorts in place. No samples give all zeros. */
void stats_compute(struct stats *out, uint64_t *samples, size_t count);

/*
 * Returns the spread of counts that ought to be equal: (most - least) / mean, 0 if all are 0 or
 * there are none.
 */
double stats_spread(const uint64_t *counts, size_t count);

#endif
