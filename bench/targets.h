/*
 * targets: what `smbench --targets` and so `make bench` prints: the ruler, and
 * for each kind of memory files the rows of section 10 of the design with their targets, what
 * was measured, and the verdicts.
 *
 * Everything is in one run: the ruler's connections and all sections are open
 * at the same time, and are measured in turn, a batch of each in every round, so
 * that all of them see the machine in the same moods.  The first of each
 * batch, and the whole first round, are thrown away.  Every few rounds there is a window in
 * which others compete for one lock (contest.h); in the end, the pure lock is measured with and
 * without a crowd of idle clients (growth.h).  A verdict compares the medians of all samples.
 */
#ifndef BENCH_TARGETS_H
#define BENCH_TARGETS_H

#include <stdbool.h>

/*
 * Make a world, measure and print, clean up.  An exit status: 0 when everything
 * was measured, whatever the verdicts are; 1 after saying what went wrong.
 * This process is pinned to one core from then on.
 */
int targets_run(bool is_json);

#endif
