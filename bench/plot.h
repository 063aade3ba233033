/*
 * plot: `smbench --plot-data DIRECTORY` measures, and writes, what bench/plot.gp
 * draws: the cost of a critical section against the size of the segment (with
 * one byte and with all bytes changed), and against how many bytes of 1 MiB change.
 *
 *	size.dat	segment in words and in bytes; microseconds, one byte and
 *			all: fcntl + mmap, and each kind of memory files
 *	changed.dat	changed in words and in bytes; microseconds: fcntl +
 *			mmap, and each kind of memory files
 *	run.gp		round_trip: of the same run, in microseconds
 *
 * All are medians, of several passes over everything.
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

/*
 * Make a world, measure and write, clean up.  An exit status, after saying
 * what went wrong.  This process is pinned to one core from then on.
 */
int plot_run(const char *directory);

#endif
