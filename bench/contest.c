#include "bench/contest.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/section.h"
#include "bench/team.h"
#include "common/base/clock.h"

#define WARM_UP_TIME (CLOCK_SEC / 5)

/* More critical sections of one worker in one window than any server grants. */
enum { ENDS_MOST = 1000 * 1000 };

/* The critical sections of one worker in the current window. */
struct tally {
	uint64_t begin;
	size_t count;             /* critical sections */
	uint64_t ends[ENDS_MOST]; /* of the first ENDS_MOST of them */
};

/* Memory shared with the workers: parent and workers write it on different sides of a barrier. */
struct shared {
	uint64_t duration; /* of the next window */
	uint64_t number;   /* in the segment */
	struct tally tallies[];
};

struct contest {
	const struct contest_plan *plan;
	const char *conf;
	char path[64];
	struct team *team;
	struct shared *shared;
	size_t shared_size;
	uint64_t total; /* critical sections of all windows, also of those that do not count */
	size_t windows; /* that count */
	uint64_t *costs;
	size_t cost_count;
	struct contest_result result;
};

static size_t
worker_count(const struct contest *contest)
{
	return contest->plan->processes * contest->plan->threads;
}

/* --- in the workers ----------------------------------------------------- */

static void *
setup(void *arg)
{
	const struct contest *contest = arg;
	struct sm *sm = sm_new();

	if (sm != NULL && sm_load(sm, contest->conf) == 0)
		return sm;
	warnx("%s", sm_error(sm));
	sm_free(sm);
	return NULL;
}

static void
teardown(void *sm)
{
	sm_free(sm);
}

static int
compete(const struct section *section, uint64_t duration, struct tally *tally)
{
	uint64_t now = clock_now();
	const uint64_t deadline = now + duration;
	int error;

	tally->begin = now;
	for (tally->count = 0; now < deadline; tally->count++) {
		if ((error = section->ops->lock(section->place)) != 0)
			return error;
		if (section->memory != NULL)
			++*(uint64_t *)(void *)section->memory;
		if ((error = section->ops->unlock(section->place)) != 0)
			return error;
		now = clock_now();
		if (tally->count < ENDS_MOST)
			tally->ends[tally->count] = now;
	}
	return 0;
}

static int
read_number(const struct section *section, uint64_t *number)
{
	int error = section->ops->lock(section->place);

	if (error != 0)
		return error;
	*number = *(const uint64_t *)(const void *)section->memory;
	return section->ops->unlock(section->place);
}

/* The barriers: a window begins; all have left it; the first worker has read the number. */
static int
work(void *arg, void *sm, size_t worker, struct team_barrier *barrier)
{
	const struct contest *contest = arg;
	struct shared *shared = contest->shared;
	struct section section = { .ops = NULL };
	int error = section_open_mounted(&section, sm, contest->path, contest->path,
	    contest->plan->size);

	while (error == 0 && team_wait(barrier)) {
		error = compete(&section, shared->duration, &shared->tallies[worker]);
		if (error == 0 && team_wait(barrier) && worker == 0 && section.memory != NULL)
			error = read_number(&section, &shared->number);
		if (error == 0 && !team_wait(barrier))
			break;
	}
	if (error != 0)
		warnx("%s: %s: %s", contest->plan->work, strerror(-error), sm_error(sm));
	section_close(&section);
	return error;
}

/* --- in the parent ------------------------------------------------------ */

int
contest_create(struct contest **out, const struct contest_plan *plan, const char *conf,
    const char *path)
{
	struct contest *contest = calloc(1, sizeof *contest);
	struct team_plan team = { .processes = plan->processes,
		.threads = plan->threads,
		.setup = setup,
		.work = work,
		.teardown = teardown };
	int error = -ENOMEM;

	assert(plan->size == 0 || plan->size >= sizeof(uint64_t));
	if (contest == NULL)
		return error;
	contest->plan = plan;
	contest->conf = conf;
	snprintf(contest->path, sizeof contest->path, "%s", path);
	contest->shared_size = sizeof(struct shared) + worker_count(contest) * sizeof(struct tally);
	if ((contest->shared = team_share(contest->shared_size)) != NULL) {
		team.arg = contest;
		error = team_create(&contest->team, &team);
	}
	if (error != 0) {
		contest_destroy(contest);
		return error;
	}
	*out = contest;
	return 0;
}

void
contest_destroy(struct contest *contest)
{
	if (contest == NULL)
		return;
	team_destroy(contest->team);
	if (contest->shared != NULL)
		munmap(contest->shared, contest->shared_size);
	free(contest->costs);
	free(contest);
}

static int
run_window(struct contest *contest, uint64_t duration)
{
	const struct shared *shared = contest->shared;
	int error;

	contest->shared->duration = duration;
	for (int barrier = 0; barrier < 3; barrier++)
		if ((error = team_release(contest->team)) != 0)
			return error;
	for (size_t i = 0; i < worker_count(contest); i++)
		contest->total += shared->tallies[i].count;
	if (contest->plan->size == 0 || shared->number == contest->total)
		return 0;
	warnx("%s: %" PRIu64 " critical sections, but the segment counted %" PRIu64,
	    contest->plan->work, contest->total, shared->number);
	return -EBADMSG;
}

/* --- the figures of a window -------------------------------------------- */

/*
 * The part of a window that counts: all workers want the lock, and all ends were stored. The first
 * worker to run has the lock alone until the others arrive, which is a long time for a lock that
 * needs no server.
 */
struct span {
	uint64_t begin;
	uint64_t end;
};

static struct span
find_span(const struct contest *contest, uint64_t duration)
{
	struct span span = { 0, CLOCK_NEVER };

	for (size_t i = 0; i < worker_count(contest); i++) {
		const struct tally *tally = &contest->shared->tallies[i];
		uint64_t end = tally->begin + duration;

		if (tally->count > ENDS_MOST && tally->ends[ENDS_MOST - 1] < end)
			end = tally->ends[ENDS_MOST - 1];
		if (tally->begin > span.begin)
			span.begin = tally->begin;
		if (end < span.end)
			span.end = end;
	}
	return span;
}

/* Copies a worker's ends within the span to out. Returns their number. */
static size_t
copy_ends(const struct tally *tally, struct span span, uint64_t *out)
{
	const size_t kept = tally->count < ENDS_MOST ? tally->count : ENDS_MOST;
	size_t first = 0, end;

	while (first < kept && tally->ends[first] <= span.begin)
		first++;
	for (end = first; end < kept && tally->ends[end] <= span.end;)
		end++;
	memcpy(out, tally->ends + first, (end - first) * sizeof *out);
	return end - first;
}

/* Keeps the shares of the window if they spread more than those before. */
static void
add_shares(struct contest *contest, const uint64_t *counts)
{
	const size_t workers = worker_count(contest);
	const double spread = stats_spread(counts, workers);
	uint64_t least = UINT64_MAX, most = 0;

	for (size_t i = 0; i < workers; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
	}
	if (contest->windows++ == 0 || spread > contest->result.spread) {
		contest->result.spread = spread;
		contest->result.least = least;
		contest->result.most = most;
	}
}

static int
add_costs(struct contest *contest, uint64_t *ends, size_t count)
{
	const size_t workers = worker_count(contest);
	uint64_t *costs = reallocarray(contest->costs, contest->cost_count + count / workers + 1,
	    sizeof *costs);

	if (costs == NULL)
		return -ENOMEM;
	contest->costs = costs;
	stats_sort(ends, count);
	for (size_t i = workers; i < count; i += workers)
		costs[contest->cost_count++] = (ends[i] - ends[i - workers]) / workers;
	return 0;
}

static int
add_window(struct contest *contest, uint64_t duration)
{
	const size_t workers = worker_count(contest);
	const struct span span = find_span(contest, duration);
	uint64_t *counts = calloc(workers, sizeof *counts);
	uint64_t *ends = calloc(workers, ENDS_MOST * sizeof *ends);
	size_t count = 0;
	int error = -ENOMEM;

	if (counts != NULL && ends != NULL) {
		for (size_t i = 0; i < workers; i++) {
			counts[i] = copy_ends(&contest->shared->tallies[i], span, ends + count);
			count += counts[i];
		}
		add_shares(contest, counts);
		error = add_costs(contest, ends, count);
	}
	free(counts);
	free(ends);
	return error;
}

int
contest_measure(struct contest *contest)
{
	const uint64_t duration = contest->plan->seconds * CLOCK_SEC;
	int error;

	assert(contest->windows < CONTEST_WINDOWS);
	if ((error = run_window(contest, WARM_UP_TIME)) != 0 ||
	    (error = run_window(contest, duration)) != 0)
		return error;
	return add_window(contest, duration);
}

void
contest_summarise(struct contest *contest, struct contest_result *out)
{
	*out = contest->result;
	stats_compute(&out->cost, contest->costs, contest->cost_count);
}
