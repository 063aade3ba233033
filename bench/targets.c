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
#include "bench/section.h"
#include "bench/output.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/ruler.h"
#include "bench/stats.h"
#include "bench/watcher.h"
#include "common/base/size.h"

enum {
	ROUNDS = 21,
	BATCH_SMALL = 500,                       /* samples of one thing in one round */
	BATCH_BULK = 25,                         /* of what moves a MiB */
	WARM_UP = 10,                            /* one in so many is done before and not counted */
	CONTEST_EVERY = ROUNDS / CONTEST_WINDOWS /* rounds from one window to the next */
};

/*
 * The rows of section 10 of the design, and a few for comparison: what is done, and how many units it may cost.
 */
static const struct target {
	const struct world_kind *kind;
	const char *work;
	size_t size;
	size_t changed;
	enum ruler_kind unit;
	double limit; /* 0: no target */
} targets[] = {
	{ &world_kinds[WORLD_SMDISH], "pure lock", 0, 0, RULER_ROUND_TRIP, 1.6 },
	{ &world_kinds[WORLD_SMDISH], "1 KiB segment, 1 byte changed", SIZE_KIB, 1,
	    RULER_ROUND_TRIP, 1.6 },
	{ &world_kinds[WORLD_SMDISH], "1 MiB segment, 1 byte changed", SIZE_MIB, 1,
	    RULER_ROUND_TRIP, 2.0 },
	{ &world_kinds[WORLD_SMDISH], "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB,
	    RULER_BULK_4K, 1.3 },
	{ &world_kinds[WORLD_SMUF], "pure lock", 0, 0, RULER_ROUND_TRIP, 0 },
	{ &world_kinds[WORLD_SMUF], "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP,
	    1.8 },
	{ &world_kinds[WORLD_SMUF], "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP,
	    2.0 },
	{ &world_kinds[WORLD_SMUF], "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB,
	    RULER_GCM_4K, 1.3 },
	{ &world_kinds[WORLD_SMC], "pure lock", 0, 0, RULER_MUTEX, 5.0 },
	{ &world_kinds[WORLD_SMC], "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP,
	    0 },
	{ &world_kinds[WORLD_SMC], "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP,
	    1.0 },
	{ &world_kinds[WORLD_SMC], "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB,
	    RULER_CTR_4K, 1.3 },
};

static const struct contest_target {
	const struct world_kind *kind;
	struct contest_plan plan;
	double limit; /* round trips; 0: no target, for comparison */
	double spread_limit;
} contests[] = {
	{ &world_kinds[WORLD_SMDISH], { "8 processes on one lock", 8, 1, 0, 2 }, 2.0, 0.10 },
	{ &world_kinds[WORLD_SMDISH], { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 },
	    0, 0 },
	{ &world_kinds[WORLD_SMDISH], { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
	{ &world_kinds[WORLD_SMUF], { "8 processes on one lock", 8, 1, 0, 2 }, 2.0, 0.10 },
	{ &world_kinds[WORLD_SMUF], { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 }, 0,
	    0 },
	{ &world_kinds[WORLD_SMUF], { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
	{ &world_kinds[WORLD_SMC], { "8 processes on one lock", 8, 1, 0, 5 }, 2.0, 0.10 },
	{ &world_kinds[WORLD_SMC], { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB, 2 }, 0,
	    0 },
	{ &world_kinds[WORLD_SMC], { "8 threads of one process", 1, 8, 0, 2 }, 0, 0 },
};

/*
 * Beside a pure lock of the same kind.  Each of smuf's files is a file of the host, and a disk's file system takes its
 * time to make and remove so many, above all soon after it has removed others: one round of those has to do.
 */
static const struct growth_target {
	const struct world_kind *kind;
	const char *work;
	struct crowd_plan plan;
	double limit;
} growths[] = {
	{ &world_kinds[WORLD_SMDISH], "1000 idle clients", { "client", 1000, 1, 4 }, 1.2 },
	{ &world_kinds[WORLD_SMDISH], "100,000 files of 100 idle clients", { "file", 100, 1000, 4 },
	    1.2 },
	{ &world_kinds[WORLD_SMUF], "1000 idle clients", { "client", 1000, 1, 4 }, 1.2 },
	{ &world_kinds[WORLD_SMUF], "100,000 files of 100 idle clients", { "file", 100, 1000, 1 },
	    1.2 },
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

_Static_assert(COUNT(targets) <= REPORT_SECTIONS, "room for all sections");
_Static_assert(COUNT(contests) <= REPORT_CONTESTS, "room for all contests");
_Static_assert(COUNT(growths) <= REPORT_GROWTHS, "room for all growths");

/* What is measured in turn: a ruler, or a section. */
struct series {
	struct ruler *ruler;
	struct section section;
	const struct target *target; /* of a section */
	size_t batch;
	size_t count;
	uint64_t samples[ROUNDS * BATCH_SMALL];
};

/* The report counts how many there are of each. */
struct run {
	bool is_json;
	struct sm *sm;
	struct series rulers[RULER_KINDS];
	struct series sections[REPORT_SECTIONS];
	struct {
		struct contest *contest;
		char path[32];
	} contests[REPORT_CONTESTS];
	struct {
		struct crowd *crowd;
		const struct growth_target *target;
		struct section *beside;
	} growths[REPORT_GROWTHS];
	struct report report;
};

/* --- planning ----------------------------------------------------------- */

static void
plan_sections(struct run *run)
{
	struct report *r = &run->report;

	for (const struct target *target = targets; target < targets + COUNT(targets); target++) {
		const struct world_kind *kind = target->kind;

		run->sections[r->section_count].target = target;
		r->sections[r->section_count].kind = kind;
		r->sections[r->section_count].work = target->work;
		r->sections[r->section_count].unit = target->unit;
		r->sections[r->section_count++].target = target->limit;
	}
}

/* The section that is a pure lock. */
static struct section *
find_pure_lock(struct run *run, const struct world_kind *kind)
{
	for (size_t i = 0; i < run->report.section_count; i++)
		if (run->report.sections[i].kind == kind && run->sections[i].target->size == 0)
			return &run->sections[i].section;
	assert(!"a kind that has growths has a pure lock");
	return NULL;
}

static void
plan_growths(struct run *run)
{
	struct report *r = &run->report;

	for (const struct growth_target *target = growths; target < growths + COUNT(growths);
	     target++) {
		const struct world_kind *kind = target->kind;

		run->growths[r->growth_count].target = target;
		run->growths[r->growth_count].beside = find_pure_lock(run, kind);
		r->growths[r->growth_count].kind = kind;
		r->growths[r->growth_count].work = target->work;
		r->growths[r->growth_count].rounds = target->plan.rounds;
		r->growths[r->growth_count++].target = target->limit;
	}
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

static int
open_contests(struct run *run, const struct world *world)
{
	struct report *r = &run->report;
	int error;

	for (size_t i = 0; i < COUNT(contests); i++) {
		const struct contest_target *target = &contests[i];
		const struct world_kind *kind = target->kind;
		const size_t n = r->contest_count;

		snprintf(run->contests[n].path, sizeof run->contests[n].path, "%s/contest%zu",
		    kind->path, n);
		error = contest_create(&run->contests[n].contest, &target->plan, world->conf,
		    run->contests[n].path);
		if (error != 0)
			return error;
		r->contests[n].kind = kind;
		r->contests[n].work = target->plan.work;
		r->contests[n].seconds = target->plan.seconds;
		r->contests[n].target = target->limit;
		r->contests[n].spread_target = target->spread_limit;
		r->contest_count++;
	}
	return 0;
}

static int
open_teams(struct run *run, const struct world *world)
{
	int error = open_contests(run, world);

	for (size_t i = 0; i < run->report.growth_count && error == 0; i++)
		error = crowd_create(&run->growths[i].crowd, &run->growths[i].target->plan,
		    world->conf, run->report.growths[i].kind->path);
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
	for (size_t i = 0; i < run->report.section_count && error == 0; i++) {
		struct series *series = &run->sections[i];

		series->batch = ruler_is_bulk(series->target->unit) ? BATCH_BULK : BATCH_SMALL;
		snprintf(path, sizeof path, "%s/target%zu", run->report.sections[i].kind->path, i);
		error = section_open_mounted(&series->section, run->sm, path, path,
		    series->target->size);
	}
	if (error != 0)
		warnx("%s: %s", strerror(-error), sm_error(run->sm));
	return error;
}

static void
close_contests(struct run *run)
{
	for (size_t i = 0; i < run->report.contest_count; i++) {
		contest_destroy(run->contests[i].contest);
		run->contests[i].contest = NULL;
	}
}

static void
close_all(struct run *run)
{
	close_contests(run);
	for (size_t i = 0; i < run->report.growth_count; i++)
		crowd_destroy(run->growths[i].crowd);
	for (size_t i = 0; i < run->report.section_count; i++)
		section_close(&run->sections[i].section);
	sm_free(run->sm);
	for (size_t i = 0; i < RULER_KINDS; i++)
		ruler_destroy(run->rulers[i].ruler);
}

/* --- measuring ---------------------------------------------------------- */

/* What is compared with a mean is one. */
static int
measure_into(struct series *series, uint64_t *samples, size_t count)
{
	const struct target *target = series->target;

	if (series->ruler != NULL)
		return ruler_measure(series->ruler, samples, count);
	return section_measure_means(&series->section, target->changed,
	    target->unit == RULER_MUTEX ? RULER_GROUP : 1, samples, count);
}

static int
measure_batch(struct series *series, size_t round)
{
	uint64_t *samples = series->samples + series->count;
	int error;

	/* What is not counted is written over by what is. */
	if ((error = measure_into(series, samples, series->batch / WARM_UP)) != 0 ||
	    (error = measure_into(series, samples, series->batch)) != 0)
		return error;
	if (round > 0)
		series->count += series->batch;
	return 0;
}

static int
measure_contests(struct run *run)
{
	const struct report *r = &run->report;
	int error;

	for (size_t i = 0; i < r->contest_count; i++)
		if ((error = contest_measure(run->contests[i].contest)) != 0) {
			warnx("%s, %s: %s", r->contests[i].kind->type, r->contests[i].work,
			    strerror(-error));
			return error;
		}
	return 0;
}

static int
measure_round(struct run *run, size_t round)
{
	const struct report *r = &run->report;
	int error;

	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++)
		if ((error = measure_batch(&run->rulers[kind], round)) != 0) {
			warnx("%s: %s", ruler_name(kind), strerror(-error));
			return error;
		}
	for (size_t i = 0; i < r->section_count; i++)
		if ((error = measure_batch(&run->sections[i], round)) != 0) {
			warnx("%s, %s: %s: %s", r->sections[i].kind->type, r->sections[i].work,
			    strerror(-error), sm_error(run->sm));
			return error;
		}
	return round > 0 && round % CONTEST_EVERY == 0 ? measure_contests(run) : 0;
}

static size_t
step_count(const struct run *run)
{
	return ROUNDS + 1 + run->report.growth_count;
}

/* The bystanders that growth is about are all there are. */
static int
measure_growth(struct run *run)
{
	struct report *r = &run->report;
	int error;

	close_contests(run);
	for (size_t i = 0; i < r->growth_count; i++) {
		output_progress(ROUNDS + 1 + i, step_count(run));
		error = crowd_measure(run->growths[i].crowd, run->growths[i].beside,
		    &r->growths[i].result);
		if (error != 0) {
			warnx("%s, %s: %s: %s", r->growths[i].kind->type, r->growths[i].work,
			    strerror(-error), sm_error(run->sm));
			return error;
		}
	}
	return 0;
}

static int
measure_all(struct run *run)
{
	int error;

	for (size_t round = 0; round <= ROUNDS; round++) {
		output_progress(round, step_count(run));
		if ((error = measure_round(run, round)) != 0)
			return error;
	}
	for (size_t i = 0; i < run->report.contest_count; i++)
		contest_tell(run->contests[i].contest, &run->report.contests[i].result);
	if ((error = measure_growth(run)) != 0)
		return error;
	output_progress(step_count(run), step_count(run));
	return 0;
}

/* --- the run ------------------------------------------------------------ */

static void
fill_in(struct run *run, const struct world *world)
{
	struct report *r = &run->report;
	char name[sizeof r->file_system];

	for (size_t i = 0; i < RULER_KINDS; i++)
		stats_compute(&r->rulers[i], run->rulers[i].samples, run->rulers[i].count);
	for (size_t i = 0; i < r->section_count; i++)
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

	/* For the rulers, which are bare OpenSSL; the library needs no such thing. */
	signal(SIGPIPE, SIG_IGN);
	plan_sections(run);
	plan_growths(run);
	/* All children before the library's sockets, so that they inherit none. */
	if ((error = open_rulers(run)) != 0 || (error = open_teams(run, world)) != 0 ||
	    (error = open_sections(run, world)) != 0 || (error = measure_all(run)) != 0)
		goto out;
	fill_in(run, world);
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
