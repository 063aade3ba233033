/*
 * job: what a command line with paths asks for: a number of critical sections
 * by one process or several that compete, of one thread or several, and what
 * they cost.
 *
 * Every process is forked before anything is mounted or opened, and so has
 * its own connection, as unrelated programs would; the threads of one process share
 * its connection, and each has handles of its own.  They open everything, wait for
 * one another, and start together.  The clock runs from the start of the first
 * to the end of the last.  There is no warm-up: exactly as many critical sections
 * are done as were asked for.
 *
 * As all do the same number, what tells whether one was favoured is how far
 * the others were when the first was done.
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
	JOB_SECTIONS_MOST = 100 * 1000 * 1000 /* of all workers; 8 bytes are kept of each */
};

struct job {
	const char *conf;                    /* a mount file, or NULL */
	const char *mounts[JOB_MOUNTS_MOST]; /* "URI PATH TYPE [OPTIONS]" */
	size_t mount_count;
	const char *mempath;
	const char *lockpath;
	size_t size;       /* of the memory, bytes */
	size_t changed;    /* in each critical section, bytes */
	size_t iterations; /* critical sections of each worker */
	size_t processes;
	size_t threads; /* of each process */
};

struct job_result {
	bool is_mounted; /* else plain files */
	size_t sections;
	uint64_t elapsed;  /* nanoseconds */
	struct stats cost; /* of single critical sections, nanoseconds */
	/* Of each worker, what it had done when the first of all was done. */
	uint64_t *shares;
	double spread; /* of these: (most - least) / mean */
};

/*
 * Do it.  0, or -1 after saying on standard error what is wrong.  On success
 * job_result_fini() frees what *out points to.
 */
int job_run(const struct job *job, struct job_result *out);

void job_result_fini(struct job_result *result);

/*
 * Print a result: the two lines of the original, then median and 99th
 * percentile, and the shares of several workers.
 */
void job_print(const struct job *job, const struct job_result *result);

/* The same, and what was asked for, as one JSON object. */
void job_print_json(const struct job *job, const struct job_result *result);

#endif
