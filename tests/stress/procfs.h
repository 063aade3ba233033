/*
 * procfs: the resources that a running process uses, as the kernel reports them.
 *
 * The daemons are not dumpable, so their /proc belongs to root. A value that may not be read is -1;
 * a test that compares two readings then finds them equal.
 */
#ifndef TESTS_STRESS_PROCFS_H
#define TESTS_STRESS_PROCFS_H

#include <stdint.h>
#include <sys/types.h>

struct procfs_usage {
	int64_t memory; /* anonymous resident memory, bytes */
	int64_t peak; /* the most that was resident of all kinds since procfs_reset_peak(), bytes */
	int64_t cpu_ms; /* processor time used so far */
	int64_t fds;    /* open descriptors */
};

struct procfs_usage procfs_usage(pid_t pid);

/*
 * Bytes of the private mappings without a file that this process has, with or without memory behind
 * them: what a library OS copies at fork(2).
 */
int64_t procfs_private(void);

/*
 * How long the main thread has run or waited for a processor, in nanoseconds: the rest of the time
 * it has slept. Returns 0 where the kernel does not count it.
 */
uint64_t procfs_awake_ns(pid_t pid);

/*
 * How long a thread, or the main thread of a process, has waited for a processor, in nanoseconds: a
 * time without it is the same on a busy machine. Returns 0 where the kernel does not count it.
 */
uint64_t procfs_delayed_ns(pid_t thread);

/* How often the main thread has gone to sleep, rather than been interrupted. Or -1. */
int64_t procfs_sleeps(pid_t pid);

/* The peak counts from now on. */
void procfs_reset_peak(pid_t pid);

/*
 * Returns the state of the process as one letter, 'S' when it sleeps; 0 when there is no such
 * process.
 */
char procfs_state(pid_t pid);

#endif
