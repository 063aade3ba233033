/*
 * procfs: what a running process uses, as the kernel tells it.
 *
 * The daemons are not dumpable, so their /proc belongs to root. What may not be read is -1, and a test
 * that compares two readings finds them equal then.
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

/* The peak is from now on that of what follows. */
void procfs_reset_peak(pid_t pid);

/* The state of the process as one letter, 'S' when it sleeps; 0 when there is none. */
char procfs_state(pid_t pid);

#endif
