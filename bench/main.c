/*
 * smbench: measures the cost of one critical section. This file has the options and the modes.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/job.h"
#include "bench/plot.h"
#include "bench/probe.h"
#include "bench/table.h"
#include "bench/targets.h"
#include "common/base/commandline.h"
#include "common/base/size.h"
#include "common/base/standard.h"
#include "common/client/smclient.h"
#include "common/wire/protocol.h"

#define NAME "smbench"

enum { USAGE_STATUS = 2 };

static const char usage[] =
    "usage: smbench [-f CONF] [-M \"URI PATH TYPE [OPTIONS]\"]... [-p PROCESSES] [-t THREADS]\n"
    "               [-w BYTES] [-H] [-j] MEMPATH LOCKPATH MEMSIZE ITERATIONS\n"
    "       smbench [-j]\n"
    "       smbench --targets [-j]\n"
    "       smbench --plot-data DIRECTORY\n"
    "       smbench --probe [DIRECTORY]...\n";

static const char help[] =
    "\n"
    "Times critical sections: lock LOCKPATH, change bytes of the MEMSIZE bytes mapped from\n"
    "MEMPATH, unlock. With a MEMSIZE of 0 there are only locks. Each thread of each process does\n"
    "ITERATIONS of them. For a memory file, MEMPATH and LOCKPATH are usually the same path: a\n"
    "lock updates the memory of its own file only. Paths under no mount are plain files\n"
    "(/dev/zero and a lock file): the kernel's own mapping and record lock. There, MEMPATH must\n"
    "exist, and LOCKPATH is created. Relative paths begin at the working directory.\n"
    "\n"
    "  -f CONF       a mount file (MOUNT, CAFILE, CERTFILE, KEYFILE)\n"
    "  -M MOUNT      one more mount, as in a line of a mount file; may be given again\n"
    "  -p PROCESSES  start so many processes that compete (default 1)\n"
    "  -t THREADS    start so many threads in each process, over one connection (default 1)\n"
    "  -w BYTES      change so many bytes in each critical section (default 1)\n"
    "  -H            name each change with sm_dirty(), as mounts with track=hint need it\n"
    "  -j            print one JSON object\n"
    "  -h, --help    print this\n"
    "  --plot-data DIRECTORY\n"
    "  --probe\n"
    "  --targets     see below\n"
    "  --version     print the version\n"
    "\n"
    "Sizes and counts may end in K, M or G (powers of 1024).\n"
    "\n"
    "Without arguments, smbench starts servers of its own with throwaway keys and prints a table.\n"
    "With --targets, it starts the same servers, and compares the costs with bare OpenSSL\n"
    "messages and with the targets of the design.\n"
    "With --plot-data, it starts the same servers, and writes the data of bench/plot.gp into\n"
    "DIRECTORY.\n"
    "With --probe, it prints what this system offers, and what files in each DIRECTORY can do.\n";

struct options {
	bool is_json;
	bool is_targets;
	bool is_probe;
	const char *plot_data; /* the directory; NULL: not given */
	const char *changed;   /* the argument of -w, which MEMSIZE limits; NULL: not given */
	struct job job;
};

/* reason: NULL when it was printed. */
static _Noreturn void
fail_usage(const char *reason)
{
	if (reason != NULL)
		warnx("%s", reason);
	fputs(usage, stderr);
	fputs("Try 'smbench --help'.\n", stderr);
	exit(USAGE_STATUS);
}

static size_t
parse_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
	uint64_t value;

	if (size_parse(text, least, most, &value) != 0)
		errx(USAGE_STATUS, "%s: '%s' is not a number from %llu to %llu", name, text,
		    (unsigned long long)least, (unsigned long long)most);
	return (size_t)value;
}

static void
parse_options(struct options *options, int argc, char **argv)
{
	enum { OPTION_TARGETS = 256, OPTION_PLOT_DATA, OPTION_PROBE, OPTION_VERSION };
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' },
		{ "plot-data", required_argument, NULL, OPTION_PLOT_DATA },
		{ "probe", no_argument, NULL, OPTION_PROBE },
		{ "targets", no_argument, NULL, OPTION_TARGETS },
		{ "version", no_argument, NULL, OPTION_VERSION }, { NULL, 0, NULL, 0 } };
	struct job *job = &options->job;
	int c;

	job->processes = job->threads = 1;
	while ((c = commandline_next(argc, argv, "f:hHjM:p:t:w:", longs)) != -1) {
		switch (c) {
		case 'f':
			job->conf = optarg;
			break;
		case 'h':
			printf("%s%s", usage, help);
			exit(standard_finish(NAME, 0));
		case 'H':
			job->is_hinting = true;
			break;
		case 'j':
			options->is_json = true;
			break;
		case 'M':
			if (job->mount_count == JOB_MOUNTS_MOST)
				errx(USAGE_STATUS, "-M: more than %d", JOB_MOUNTS_MOST);
			job->mounts[job->mount_count++] = optarg;
			break;
		case 'p':
			job->processes = parse_number("-p", optarg, 1, JOB_PROCESSES_MOST);
			break;
		case 't':
			job->threads = parse_number("-t", optarg, 1, JOB_THREADS_MOST);
			break;
		case 'w':
			options->changed = optarg;
			break;
		case OPTION_PLOT_DATA:
			options->plot_data = optarg;
			break;
		case OPTION_PROBE:
			options->is_probe = true;
			break;
		case OPTION_TARGETS:
			options->is_targets = true;
			break;
		case OPTION_VERSION:
			printf(NAME " %s\n", sm_version());
			exit(standard_finish(NAME, 0));
		default:
			fail_usage(NULL);
		}
	}
}

/* argv is MEMPATH LOCKPATH MEMSIZE ITERATIONS. */
static void
parse_job(struct options *options, char **argv)
{
	struct job *job = &options->job;

	if (job->processes * job->threads > JOB_WORKERS_MOST)
		errx(USAGE_STATUS, "-p and -t: more than %d threads in all", JOB_WORKERS_MOST);
	job->mempath = argv[0];
	job->lockpath = argv[1];
	job->size = parse_number("MEMSIZE", argv[2], 0, PROTOCOL_SEGMENT_MOST);
	job->iterations = parse_number("ITERATIONS", argv[3], 1,
	    JOB_SECTIONS_MOST / job->processes / job->threads);
	job->changed = job->size > 0 ? 1 : 0;
	if (options->changed != NULL)
		job->changed = parse_number("-w", options->changed, 0, job->size);
}

static int
run_job(const struct options *options)
{
	const struct job *job = &options->job;
	struct job_result result;

	if (job_run(job, &result) != 0)
		return 1;
	if (result.is_mounted && job->size > 0 && strcmp(job->mempath, job->lockpath) != 0)
		warnx(
		    "note: locking %s does not bring %s up to date; "
		    "this is the cost of the lock alone",
		    job->lockpath, job->mempath);
	if (options->is_json)
		job_print_json(job, &result);
	else
		job_print(job, &result);
	job_result_fini(&result);
	return 0;
}

/* Options that need paths. */
static bool
has_job_options(const struct options *options)
{
	const struct job *job = &options->job;

	return job->conf != NULL || job->mount_count > 0 || job->processes != 1 ||
	    job->threads != 1 || job->is_hinting || options->changed != NULL;
}

/* Why options and a number of paths do not fit together; NULL: they do. */
static const char *
find_misuse(const struct options *options, int count)
{
	const bool is_plot = options->plot_data != NULL;
	const int modes = options->is_probe + options->is_targets + is_plot;

	if (modes > 1)
		return "--plot-data, --probe and --targets exclude each other";
	if (modes == 1 && has_job_options(options))
		return "-f, -H, -M, -p, -t and -w need MEMPATH LOCKPATH MEMSIZE ITERATIONS";
	if ((options->is_probe || is_plot) && options->is_json)
		return "-j is not for --plot-data and --probe";
	if (options->is_probe)
		return NULL;
	if (modes == 1 && count > 0)
		return "--plot-data and --targets take no paths";
	if (count == 4 || (count == 0 && !has_job_options(options)))
		return NULL;
	return count > 4 ?
	    "too many arguments: MEMPATH LOCKPATH MEMSIZE ITERATIONS are expected" :
	    "an argument is missing: MEMPATH LOCKPATH MEMSIZE ITERATIONS are expected";
}

int
main(int argc, char **argv)
{
	struct options options = { .is_json = false };
	const char *misuse;
	int status, count;

	standard_hold();
	/* The processes of a job write to it, each a whole line at a time. */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	/* If the caller ignored it, waitpid(2) would not report a child's end. */
	signal(SIGCHLD, SIG_DFL);
	parse_options(&options, argc, argv);
	count = argc - optind;
	misuse = find_misuse(&options, count);
	if (misuse != NULL)
		fail_usage(misuse);
	if (options.is_probe) {
		status = probe_run(argv + optind, count);
	} else if (count == 4) {
		parse_job(&options, argv + optind);
		status = run_job(&options);
	} else if (options.plot_data != NULL) {
		status = plot_run(options.plot_data);
	} else if (options.is_targets) {
		status = targets_run(options.is_json);
	} else {
		status = table_run(options.is_json);
	}
	return standard_finish(NAME, status);
}
