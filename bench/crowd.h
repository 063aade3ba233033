/*
 * crowd: idle clients of a server, and whether they make a critical section slower.
 *
 * A crowd is a number of clients of one mount, in a few processes, each with a number of memory
 * files of its own open. crowd_measure() measures the same section without the crowd and with it in
 * turn, for one round or several, and once more without it: in each round all clients connect and
 * open their files, and later close everything.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <stddef.h>

#include "bench/section.h"
#include "bench/stats.h"

enum { CROWD_PROCESSES = 10, CROWD_ROUNDS_MOST = 4 };

struct crowd_plan {
	const char *name; /* of its files: one path component */
	size_t clients;   /* connections, a multiple of CROWD_PROCESSES */
	size_t files;     /* that each client has open, pure locks */
	size_t rounds;    /* 1 to CROWD_ROUNDS_MOST */
};

struct crowd_result {
	struct stats alone;   /* nanoseconds */
	struct stats crowded; /* nanoseconds */
	double ratio;         /* of the medians of all rounds: crowded / alone */
	double ratio_least;   /* of the medians of single rounds */
	double ratio_most;
};

struct crowd;

/*
 * Starts the processes, which wait. conf is a mount file that mounts something at mount; both
 * strings and *plan must outlive the crowd. Returns 0 or a negative errno.
 */
int crowd_create(struct crowd **out, const struct crowd_plan *plan, const char *conf,
    const char *mount);

/*
 * Measures section, a pure lock that no other process uses. Returns 0 or a negative errno: -EPIPE
 * when a client failed, which has printed why, or the error of the section.
 */
int crowd_measure(struct crowd *crowd, struct section *section, struct crowd_result *out);

/* Kills the processes; they have ended when this returns. NULL does nothing. */
void crowd_destroy(struct crowd *crowd);

#endif
