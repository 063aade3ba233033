/*
 * targets: `smbench --targets`, and so `make bench`: measures the rows of DESIGN 10 for each kind
 * of memory file, and the rulers of their targets, and reports them with verdicts (report.h).
 *
 * Everything is in one run. All rulers and sections are open at the same time, and each round
 * measures a batch of each in turn, so that changes of the machine's speed affect all of them
 * alike. The first samples of each batch, and the whole first round, are discarded. Every few
 * rounds there is a window in which other processes compete for one lock (contest.h). At the end
 * the pure lock is measured with and without a crowd of idle clients (crowd.h).
 */
#ifndef BENCH_TARGETS_H
#define BENCH_TARGETS_H

#include <stdbool.h>

/*
 * Makes a world, measures, prints, and cleans up. Returns an exit status: 0 when everything was
 * measured, whatever the verdicts are, 1 after printing the failure. Pins this process to one core
 * for the rest of its life.
 */
int targets_run(bool is_json);

#endif
