#include "bench/targets.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/contest.h"
#include "bench/crowd.h"
#include "bench/output.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/ruler.h"
#include "bench/section.h"
#include "bench/stats.h"
#include "bench/watcher.h"
#include "common/base/size.h"

enum {
	ROUNDS = 21,                             /* after the first, which does not count */
	BATCH_SMALL = 500,                       /* samples of one thing in one round */
	BATCH_BULK = 25,                         /* samples of work on a MiB */
	WARM_UP = 10,                            /* a batch divided by this is discarded first */
	CONTEST_EVERY = ROUNDS / CONTEST_WINDOWS /* rounds from one window to the next */
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- the rows: those of DESIGN 10, and a few for comparison --------------- */

#define SMDISH (&world_kinds[WORLD_SMDISH])
#define SMUF (&world_kinds[WORLD_SMUF])
#define SMC (&world_kinds[WORLD_SMC])

static const struct report_section section_rows[] = {
	{ SMDISH, "pure lock", 0, 0, RULER_ROUND_TRIP, 1.6 },
	{ SMDISH, "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP, 1.6 },
	{ SMDISH, "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP, 2.0 },
	{ SMDISH, "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB, RULER_BULK_4K, 1.3 },
	{ SMUF, "pure lock", 0, 0, RULER_ROUND_TRIP, 0 },
	{ SMUF, "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP, 1.8 },
	{ SMUF, "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP, 2.0 },
	{ SMUF, "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB, RULER_GCM_4K, 1.3 },
	{ SMC, "pure lock", 0, 0, RULER_MUTEX, 5.0 },
	{ SMC, "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP, 0 },
	{ SMC, "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP, 1.0 },
	{ SMC, "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB, RULER_CTR_4K, 1.3 },
};

static const struct report_contest contest_rows[] = {
	{ SMDISH, { "8 processes on one lock", 8, 1, 0, 2 }, 2.0, 0.10 },
	{ SMDISH, { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 }, 0, 0 },
	{ SMDISH, { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
	{ SMUF, { "8 processes on one lock", 8, 1, 0, 2 }, 2.0, 0.10 },
	{ SMUF, { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 }, 0, 0 },
	{ SMUF, { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
	{ SMC, { "8 processes on one lock", 8, 1, 0, 5 }, 2.0, 0.10 },
	{ SMC, { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 }, 0, 0 },
	{ SMC, { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
};

/*
 * Each of smuf's files is a file of the host. A disk's file system takes long to create and remove
 * 100,000 of them, above all soon after it removed others, so that row has one round only.
 */
static const struct report_crowd crowd_rows[] = {
	{ SMDISH, "1000 idle clients", { "client", 1000, 1, 4 }, 1.2 },
	{ SMDISH, "100,000 files of 100 idle clients", { "file", 100, 1000, 4 }, 1.2 },
	{ SMUF, "1000 idle clients", { "client", 1000, 1, 4 }, 1.2 },
	{ SMUF, "100,000 files of 100 idle clients", { "file", 100, 1000, 1 }, 1.2 },
};

_Static_assert(COUNT(section_rows) <= REPORT_SECTIONS, "room for all sections");
_Static_assert(COUNT(contest_rows) <= REPORT_CONTESTS, "room for all contests");
_Static_assert(COUNT(crowd_rows) <= REPORT_CROWDS, "room for all crowds");

/* --- the run ------------------------------------------------------------ */

/* The samples of a ruler, or of a section. */
struct series {
	struct ruler *ruler; /* NULL: a section */
	struct section section;
	const struct report_section *row; /* of a section */
	size_t batch;
	size_t count;
	uint64_t samples[ROUNDS * BATCH_SMALL];
};

struct run {
	bool is_json;
	struct sm *sm;
	struct series rulers[RULER_KINDS];
	struct series sections[COUNT(section_rows)];
	struct contest *contests[COUNT(contest_rows)];
	struct crowd *crowds[COUNT(crowd_rows)];
	struct report report;
};

static void
plan_report(struct report *report)
{
	report->section_count = COUNT(section_rows);
	for (size_t i = 0; i < COUNT(section_rows); i++)
		report->sections[i].row = &section_rows[i];
	report->contest_count = COUNT(contest_rows);
	for (size_t i = 0; i < COUNT(contest_rows); i++)
		report->contests[i].row = &contest_rows[i];
	report->crowd_count = COUNT(crowd_rows);
	for (size_t i = 0; i < COUNT(crowd_rows); i++)
		report->crowds[i].row = &crowd_rows[i];
}

/* --- opening ------------------------------------------------------------ */

static int
open_rulers(struct run *run)
{
	int error;

	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++) {
		run->rulers[kind].batch = ruler_is_bulk(kind) ? BATCH_BULK : BATCH_SMALL;
		if ((error = ruler_create(&run->rulers[kind].ruler, kind)) != 0) {
			warnx("%s: %s", ruler_name(kind), strerror(-error));
			return error;
		}
	}
	return 0;
}

/* Starts the processes that compete, and those of idle clients. */
static int
open_teams(struct run *run, const struct world *world)
{
	char path[64];
	int error = 0;

	for (size_t i = 0; i < COUNT(contest_rows) && error == 0; i++) {
		snprintf(path, sizeof path, "%s/contest%zu", contest_rows[i].kind->path, i);
		error = contest_create(&run->contests[i], &contest_rows[i].plan, world->conf, path);
	}
	for (size_t i = 0; i < COUNT(crowd_rows) && error == 0; i++)
		error = crowd_create(&run->crowds[i], &crowd_rows[i].plan, world->conf,
		    crowd_rows[i].kind->path);
	if (error != 0)
		warnx("cannot start processes: %s", strerror(-error));
	return error;
}

static int
open_sections(struct run *run, const struct world *world)
{
	char path[64];
	int error = 0;

	if ((run->sm = sm_new()) == NULL)
		error = -ENOMEM;
	else if (sm_load(run->sm, world->conf) == -1)
		error = -errno;
	for (size_t i = 0; i < COUNT(section_rows) && error == 0; i++) {
		const struct report_section *row = &section_rows[i];

		run->sections[i].row = row;
		run->sections[i].batch = ruler_is_bulk(row->unit) ? BATCH_BULK : BATCH_SMALL;
		snprintf(path, sizeof path, "%s/target%zu", row->kind->path, i);
		error = section_open_mounted(&run->sections[i].section, run->sm, path, path,
		    row->size);
	}
	if (error != 0)
		warnx("%s: %s", strerror(-error), sm_error(run->sm));
	return error;
}

static void
close_contests(struct run *run)
{
	for (size_t i = 0; i < COUNT(contest_rows); i++) {
		contest_destroy(run->contests[i]);
		run->contests[i] = NULL;
	}
}

static void
close_all(struct run *run)
{
	close_contests(run);
	for (size_t i = 0; i < COUNT(crowd_rows); i++)
		crowd_destroy(run->crowds[i]);
	for (size_t i = 0; i < COUNT(section_rows); i++)
		section_close(&run->sections[i].section);
	sm_free(run->sm);
	for (size_t i = 0; i < RULER_KINDS; i++)
		ruler_destroy(run->rulers[i].ruler);
}

/* --- measuring ---------------------------------------------------------- */

static int
measure_samples(struct series *series, uint64_t *samples, size_t count)
{
	if (series->ruler != NULL)
		return ruler_measure(series->ruler, samples, count);
	/* A sample of the mutex is a mean, so a sample that is compared with it is one too. */
	return section_measure_means(&series->section, series->row->changed,
	    series->row->unit == RULER_MUTEX ? RULER_GROUP : 1, samples, count);
}

static int
measure_batch(struct series *series, size_t round)
{
	uint64_t *samples = series->samples + series->count;
	int error;

	/* Later samples overwrite those that do not count. */
	if ((error = measure_samples(series, samples, series->batch / WARM_UP)) != 0 ||
	    (error = measure_samples(series, samples, series->batch)) != 0)
		return error;
	if (round > 0)
		series->count += series->batch;
	return 0;
}

static int
measure_contests(struct run *run)
{
	int error;

	for (size_t i = 0; i < COUNT(contest_rows); i++)
		if ((error = contest_measure(run->contests[i])) != 0) {
			warnx("%s, %s: %s", contest_rows[i].kind->type, contest_rows[i].plan.work,
			    strerror(-error));
			return error;
		}
	return 0;
}

static int
measure_round(struct run *run, size_t round)
{
	int error;

	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++)
		if ((error = measure_batch(&run->rulers[kind], round)) != 0) {
			warnx("%s: %s", ruler_name(kind), strerror(-error));
			return error;
		}
	for (size_t i = 0; i < COUNT(section_rows); i++)
		if ((error = measure_batch(&run->sections[i], round)) != 0) {
			warnx("%s, %s: %s: %s", section_rows[i].kind->type, section_rows[i].work,
			    strerror(-error), sm_error(run->sm));
			return error;
		}
	return round > 0 && round % CONTEST_EVERY == 0 ? measure_contests(run) : 0;
}

static struct section *
find_pure_lock(struct run *run, const struct world_kind *kind)
{
	for (size_t i = 0; i < COUNT(section_rows); i++)
		if (section_rows[i].kind == kind && section_rows[i].size == 0)
			return &run->sections[i].section;
	assert(!"a kind with a row of crowds has a row of a pure lock");
	return NULL;
}

static int
measure_crowd(struct run *run, size_t i)
{
	const struct report_crowd *row = &crowd_rows[i];
	int error = crowd_measure(run->crowds[i], find_pure_lock(run, row->kind),
	    &run->report.crowds[i].result);

	if (error != 0)
		warnx("%s, %s: %s: %s", row->kind->type, row->work, strerror(-error),
		    sm_error(run->sm));
	return error;
}

static int
measure_all(struct run *run)
{
	const size_t steps = ROUNDS + 1 + COUNT(crowd_rows);
	int error = 0;

	for (size_t round = 0; round <= ROUNDS; round++) {
		output_progress(round, steps);
		if ((error = measure_round(run, round)) != 0)
			return error;
	}
	for (size_t i = 0; i < COUNT(contest_rows); i++)
		contest_summarise(run->contests[i], &run->report.contests[i].result);
	/* Beside a crowd there are no other clients. */
	close_contests(run);
	for (size_t i = 0; i < COUNT(crowd_rows) && error == 0; i++) {
		output_progress(ROUNDS + 1 + i, steps);
		error = measure_crowd(run, i);
	}
	if (error == 0)
		output_progress(steps, steps);
	return error;
}

/* --- reporting ---------------------------------------------------------- */

static void
fill_report(struct run *run, const struct world *world)
{
	struct report *r = &run->report;
	char name[sizeof r->file_system];

	for (size_t i = 0; i < RULER_KINDS; i++)
		stats_compute(&r->rulers[i], run->rulers[i].samples, run->rulers[i].count);
	for (size_t i = 0; i < COUNT(section_rows); i++)
		stats_compute(&r->sections[i].cost, run->sections[i].samples,
		    run->sections[i].count);
	snprintf(r->files, sizeof r->files, "%s", world->directory);
	snprintf(r->file_system, sizeof r->file_system, "%s", world_file_system(world, name));
}

static int
measure(const struct world *world, void *arg)
{
	struct run *run = arg;
	int error;

	/* The rulers write with OpenSSL, that is with write(2); the library raises no SIGPIPE. */
	signal(SIGPIPE, SIG_IGN);
	plan_report(&run->report);
	/* Start all children before the library opens its sockets, so that they inherit none. */
	if ((error = open_rulers(run)) != 0 || (error = open_teams(run, world)) != 0 ||
	    (error = open_sections(run, world)) != 0 || (error = measure_all(run)) != 0)
		goto out;
	fill_report(run, world);
	if (run->is_json)
		report_print_json(&run->report);
	else
		report_print(&run->report);
out:
	close_all(run);
	return error == 0 ? 0 : 1;
}

int
targets_run(bool is_json)
{
	struct run *run = calloc(1, sizeof *run);
	int status;

	if (run == NULL) {
		warn("memory for the samples");
		return 1;
	}
	run->is_json = is_json;
	run->report.core = process_pin();
	if (getloadavg(&run->report.load, 1) != 1)
		run->report.load = -1;
	status = watcher_run(measure, run);
	free(run);
	return status;
}
