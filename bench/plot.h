/*
 * plot: `smbench --plot-data DIRECTORY` measures the data of bench/plot.gp: the cost of a critical
 * section by the size of the segment, with one byte and with all bytes changed, and by the number
 * of bytes of 1 MiB that change. It writes medians, of several passes over all points:
 *
 *	size.dat	segment as text and in bytes; microseconds, one byte and all:
 *			fcntl + mmap, and each kind of memory file
 *	changed.dat	changed as text and in bytes; microseconds:
 *			fcntl + mmap, and each kind of memory file
 *	run.gp		round_trip: of the same run, in microseconds
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

/*
 * Makes a world, measures, writes the files, and cleans up. Returns an exit status, 1 after
 * printing the failure. Pins this process to one core for the rest of its life.
 */
int plot_run(const char *directory);

#endif
