/*
 * probe: the table of what the kernel or library OS offers, and what is done without it, so that a
 * report of a user says where it comes from.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

/*
 * Prints the facts of the system, and those of files in each of count directories. Returns an exit
 * status: 1, after printing the reason, when a directory cannot be tried.
 */
int probe_run(char *const *directories, int count);

#endif
