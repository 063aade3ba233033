#include "bench/targets.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/contest.h"
#include "bench/crowd.h"
#include "bench/growth.h"
#include "bench/mounted.h"
#include "bench/pin.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/ruler.h"
#include "bench/stats.h"
#include "bench/world.h"
#include "common/base/size.h"

enum {
	ROUNDS = 21,
	BATCH_SMALL = 500, /* samples of one thing in one round */
	BATCH_BULK = 25,   /* of what moves a MiB */
	WARM_UP = 10,      /* one in so many is done before and not counted */
	CONTEST_EVERY = ROUNDS / CONTEST_WINDOWS, /* rounds from one window to the next */
	STEPS = ROUNDS + 1 + REPORT_GROWTHS       /* of the progress line */
};

/*
 * The rows of section 10 of the design: what is done, and how many units it
 * may cost.
 */
struct target {
	const char *work;
	size_t size;
	size_t changed;
	enum ruler_kind unit;
	double limit;
};

static const struct target targets[REPORT_SECTIONS] = {
	{ "pure lock", 0, 0, RULER_ROUND_TRIP, 1.6 },
	{ "1 KiB segment, 1 byte changed", SIZE_KIB, 1, RULER_ROUND_TRIP, 1.6 },
	{ "1 MiB segment, 1 byte changed", SIZE_MIB, 1, RULER_ROUND_TRIP, 2.0 },
	{ "1 MiB segment, all of it changed", SIZE_MIB, SIZE_MIB, RULER_BULK_4K, 1.3 },
};

enum { PURE_LOCK = 0 };

static const struct contest_target {
	struct contest_plan plan;
	double limit; /* round trips; 0: no target, for comparison */
	double spread_limit;
} contests[REPORT_CONTESTS] = {
	{ { "8 processes on one lock", 8, 1, 0 }, 2.0, 0.10 },
	{ { "8 processes, and a number in 1 KiB", 8, 1, SIZE_KIB }, 0, 0 },
	{ { "8 threads of one process", 1, 8, 0 }, 0, 0 },
};

static const struct growth_target {
	const char *work;
	struct crowd_plan plan;
	double limit;
} growths[REPORT_GROWTHS] = {
	{ "1000 idle clients", { "client", 1000, 1 }, 1.2 },
	{ "100,000 files of 100 idle clients", { "file", 100, 1000 }, 1.2 },
};

/* What is measured in turn: a ruler, or a section. */
struct series {
	struct ruler *ruler;
	struct section section;
	size_t changed;
	size_t batch;
	size_t count;
	uint64_t samples[ROUNDS * BATCH_SMALL];
};

struct run {
	bool is_json;
	struct sm *sm;
	struct series rulers[RULER_KINDS];
	struct series sections[REPORT_SECTIONS];
	struct contest *contests[REPORT_CONTESTS];
	struct crowd *crowds[REPORT_GROWTHS];
	struct report report;
};

static bool
is_bulk(enum ruler_kind kind)
{
	return kind == RULER_BULK_4K || kind == RULER_BULK_16K;
}

/* --- opening ------------------------------------------------------------ */

static int
open_rulers(struct run *run)
{
	int error;

	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++) {
		run->rulers[kind].batch = is_bulk(kind) ? BATCH_BULK : BATCH_SMALL;
		if ((error = ruler_create(&run->rulers[kind].ruler, kind)) != 0) {
			warnx("%s: %s", ruler_name(kind), strerror(-error));
			return error;
		}
	}
	return 0;
}

static int
open_teams(struct run *run, const struct world *world)
{
	int error = 0;

	for (size_t i = 0; i < REPORT_CONTESTS && error == 0; i++) {
		static const char *const paths[REPORT_CONTESTS] = { WORLD_MOUNT "/contest0",
			WORLD_MOUNT "/contest1", WORLD_MOUNT "/contest2" };

		error = contest_create(&run->contests[i], &contests[i].plan, world->conf, paths[i]);
	}
	for (size_t i = 0; i < REPORT_GROWTHS && error == 0; i++)
		error = crowd_create(&run->crowds[i], &growths[i].plan, world->conf);
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
	for (size_t i = 0; i < REPORT_SECTIONS && error == 0; i++) {
		struct series *series = &run->sections[i];

		series->changed = targets[i].changed;
		series->batch = is_bulk(targets[i].unit) ? BATCH_BULK : BATCH_SMALL;
		snprintf(path, sizeof path, WORLD_MOUNT "/target%zu", i);
		error = mounted_open(&series->section, run->sm, path, path, targets[i].size);
	}
	if (error != 0)
		warnx("smdish: %s: %s", strerror(-error), sm_error(run->sm));
	return error;
}

static void
close_contests(struct run *run)
{
	for (size_t i = 0; i < REPORT_CONTESTS; i++) {
		contest_destroy(run->contests[i]);
		run->contests[i] = NULL;
	}
}

static void
close_all(struct run *run)
{
	close_contests(run);
	for (size_t i = 0; i < REPORT_GROWTHS; i++)
		crowd_destroy(run->crowds[i]);
	for (size_t i = 0; i < REPORT_SECTIONS; i++)
		section_close(&run->sections[i].section);
	sm_free(run->sm);
	for (size_t i = 0; i < RULER_KINDS; i++)
		ruler_destroy(run->rulers[i].ruler);
}

/* --- measuring ---------------------------------------------------------- */

static int
measure_into(struct series *series, uint64_t *samples, size_t count)
{
	if (series->ruler != NULL)
		return ruler_measure(series->ruler, samples, count);
	return section_measure(&series->section, series->changed, samples, count);
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
	int error;

	for (size_t i = 0; i < REPORT_CONTESTS; i++)
		if ((error = contest_measure(run->contests[i])) != 0) {
			warnx("smdish, %s: %s", contests[i].plan.work, strerror(-error));
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
	for (size_t i = 0; i < REPORT_SECTIONS; i++)
		if ((error = measure_batch(&run->sections[i], round)) != 0) {
			warnx("smdish, %s: %s: %s", targets[i].work, strerror(-error),
			    sm_error(run->sm));
			return error;
		}
	return round > 0 && round % CONTEST_EVERY == 0 ? measure_contests(run) : 0;
}

/* The bystanders that growth is about are all there are. */
static int
measure_growth(struct run *run)
{
	int error;

	close_contests(run);
	for (size_t i = 0; i < REPORT_GROWTHS; i++) {
		progress_show(ROUNDS + 1 + i, STEPS);
		error = growth_measure(&run->report.growths[i].result,
		    &run->sections[PURE_LOCK].section, run->crowds[i]);
		if (error != 0) {
			warnx("smdish, %s: %s: %s", growths[i].work, strerror(-error),
			    sm_error(run->sm));
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
		progress_show(round, STEPS);
		if ((error = measure_round(run, round)) != 0)
			return error;
	}
	for (size_t i = 0; i < REPORT_CONTESTS; i++)
		contest_tell(run->contests[i], &run->report.contests[i].result);
	if ((error = measure_growth(run)) != 0)
		return error;
	progress_show(STEPS, STEPS);
	return 0;
}

/* --- the run ------------------------------------------------------------ */

static void
fill_in(struct run *run)
{
	struct report *r = &run->report;

	for (size_t i = 0; i < RULER_KINDS; i++)
		stats_compute(&r->rulers[i], run->rulers[i].samples, run->rulers[i].count);
	for (size_t i = 0; i < REPORT_SECTIONS; i++) {
		r->sections[i].work = targets[i].work;
		r->sections[i].unit = targets[i].unit;
		r->sections[i].target = targets[i].limit;
		stats_compute(&r->sections[i].cost, run->sections[i].samples,
		    run->sections[i].count);
	}
	for (size_t i = 0; i < REPORT_CONTESTS; i++) {
		r->contests[i].work = contests[i].plan.work;
		r->contests[i].target = contests[i].limit;
		r->contests[i].spread_target = contests[i].spread_limit;
	}
	for (size_t i = 0; i < REPORT_GROWTHS; i++) {
		r->growths[i].work = growths[i].work;
		r->growths[i].target = growths[i].limit;
	}
}

static int
measure(const struct world *world, void *arg)
{
	struct run *run = arg;
	int error;

	/* For the rulers, which are bare OpenSSL; the library needs no such thing. */
	signal(SIGPIPE, SIG_IGN);
	/* All children before the library's sockets, so that they inherit none. */
	if ((error = open_rulers(run)) != 0 || (error = open_teams(run, world)) != 0 ||
	    (error = open_sections(run, world)) != 0 || (error = measure_all(run)) != 0)
		goto out;
	fill_in(run);
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
	run->report.core = pin_core();
	if (getloadavg(&run->report.load, 1) != 1)
		run->report.load = -1;
	status = world_run(measure, run);
	free(run);
	return status;
}
