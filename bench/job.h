/*
 * job: the critical sections that a command line with paths asks for, by one process or several
 * that compete, of one thread or several, and their cost.
 *
 * Every process is forked before anything is mounted or opened, and so has a connection of its own,
 * like an unrelated program. The threads of a process share its connection, and each has handles of
 * its own. All workers open everything, wait for one another, and start together. The clock runs
 * from the start of the first to the end of the last. There is no warm-up: the workers do exactly
 * as many critical sections as the command line says.
 *
 * Since all do the same number, the share of a worker is what it did while all were at work: from
 * the start of the last one to the end of the first one.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/stats.h"
#include "bench/team.h"

enum {
	JOB_MOUNTS_MOST = 16,
	JOB_PROCESSES_MOST = 1000,
	JOB_THREADS_MOST = 1000,              /* of each process */
	JOB_WORKERS_MOST = TEAM_WORKERS_MOST, /* threads of all processes */
	JOB_SECTIONS_MOST = 100 * 1000 * 1000 /* of all workers; each takes 8 bytes of memory */
};

struct job {
	const char *conf;                    /* a mount file, or NULL */
	const char *mounts[JOB_MOUNTS_MOST]; /* each "URI PATH TYPE [OPTIONS]" */
	size_t mount_count;
	const char *mempath;
	const char *lockpath;
	size_t size;       /* of the memory, bytes */
	size_t changed;    /* in each critical section, bytes */
	size_t iterations; /* critical sections of each worker */
	size_t processes;
	size_t threads;  /* of each process */
	bool is_hinting; /* each change is named with sm_dirty() */
};

struct job_result {
	bool is_mounted; /* memory files, not plain files */
	size_t sections;
	uint64_t elapsed;  /* nanoseconds */
	struct stats cost; /* of single critical sections, nanoseconds */
	uint64_t together; /* nanoseconds in which all workers were at work */
	uint64_t *shares;  /* critical sections of each worker in that time */
	double spread;     /* of the shares: (most - least) / mean */
};

/*
 * Does the job. Returns 0, and the caller calls job_result_fini(), or a negative errno after
 * printing the failure.
 */
int job_run(const struct job *job, struct job_result *out);

void job_result_fini(struct job_result *result);

/*
 * Prints a result: the two lines of the original, then the median and the 99th percentile. If there
 * are several workers, a line tells what all of them do in a second, another one how long one waits
 * and works, and the shares follow, unless the time was too short for them.
 */
void job_print(const struct job *job, const struct job_result *result);

/* Prints the job and the result as one JSON object; shares that mean nothing are null. */
void job_print_json(const struct job *job, const struct job_result *result);

#endif
