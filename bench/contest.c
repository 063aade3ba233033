#include "bench/contest.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/section.h"
#include "bench/team.h"
#include "common/base/clock.h"

#define WARM_UP_TIME (CLOCK_SEC / 5)

/* Critical sections of one worker in one window whose ends are kept: more than any server grants. */
enum { ENDS_MOST = 1000 * 1000 };

/* What a worker did in a window. */
struct turn {
	uint64_t begin;
	size_t count; /* of all; the ends are those of the first ENDS_MOST */
	uint64_t ends[ENDS_MOST];
};

/* Shared with the workers; only ever written on one side of a meeting. */
struct board {
	uint64_t duration; /* of the next window */
	uint64_t number;   /* what the segment says */
	struct turn turns[];
};

struct contest {
	const struct contest_plan *plan;
	const char *conf;
	const char *path;
	struct team *team;
	struct board *board;
	size_t board_size;
	uint64_t total; /* of all windows, the uncounted ones, too */
	size_t windows; /* of those that count */
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
compete(const struct section *section, uint64_t duration, struct turn *turn)
{
	uint64_t now = clock_now();
	const uint64_t deadline = now + duration;
	int error;

	turn->begin = now;
	for (turn->count = 0; now < deadline; turn->count++) {
		if ((error = section->ops->lock(section->place)) != 0)
			return error;
		if (section->memory != NULL)
			++*(uint64_t *)(void *)section->memory;
		if ((error = section->ops->unlock(section->place)) != 0)
			return error;
		now = clock_now();
		if (turn->count < ENDS_MOST)
			turn->ends[turn->count] = now;
	}
	return 0;
}

static int
look(const struct section *section, uint64_t *number)
{
	int error = section->ops->lock(section->place);

	if (error != 0)
		return error;
	*number = *(const uint64_t *)(const void *)section->memory;
	return section->ops->unlock(section->place);
}

static int
work(void *arg, void *sm, size_t worker, struct team_barrier *barrier)
{
	const struct contest *contest = arg;
	struct board *board = contest->board;
	struct section section = { .ops = NULL };
	int error = section_open_mounted(&section, sm, contest->path, contest->path,
	    contest->plan->size);

	/* One meeting before the window, one when all are out of it, one when the number is told. */
	while (error == 0 && team_wait(barrier)) {
		error = compete(&section, board->duration, &board->turns[worker]);
		if (error == 0 && team_wait(barrier) && worker == 0 && section.memory != NULL)
			error = look(&section, &board->number);
		if (error == 0 && !team_wait(barrier))
			break;
	}
	if (error != 0)
		warnx("%s: %s: %s", contest->plan->work, strerror(-error), sm_error(sm));
	section_close(&section);
	return error == 0 ? 0 : -1;
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
	contest->path = path;
	contest->board_size = sizeof(struct board) + worker_count(contest) * sizeof(struct turn);
	if ((contest->board = team_share(contest->board_size)) != NULL) {
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

static int
run_window(struct contest *contest, uint64_t duration)
{
	const struct board *board = contest->board;
	int error;

	contest->board->duration = duration;
	for (int meeting = 0; meeting < 3; meeting++)
		if ((error = team_release(contest->team)) != 0)
			return error;
	for (size_t i = 0; i < worker_count(contest); i++)
		contest->total += board->turns[i].count;
	if (contest->plan->size == 0 || board->number == contest->total)
		return 0;
	warnx("%s: %" PRIu64 " critical sections, but the segment counted %" PRIu64,
	    contest->plan->work, contest->total, board->number);
	return -EBADMSG;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Who runs first has the lock to himself until the others are there, which is a long time for a lock that needs no
 * server.  What counts is the time in which all of them want it, and all ends were kept.
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
		const struct turn *turn = &contest->board->turns[i];
		uint64_t end = turn->begin + duration;

		if (turn->count > ENDS_MOST && turn->ends[ENDS_MOST - 1] < end)
			end = turn->ends[ENDS_MOST - 1];
		if (turn->begin > span.begin)
			span.begin = turn->begin;
		if (end < span.end)
			span.end = end;
	}
	return span;
}

/* Copy a worker's ends in it to out; returns how many. */
static size_t
copy_ends(const struct turn *turn, struct span span, uint64_t *out)
{
	const size_t kept = turn->count < ENDS_MOST ? turn->count : ENDS_MOST;
	size_t first = 0, end;

	while (first < kept && turn->ends[first] <= span.begin)
		first++;
	for (end = first; end < kept && turn->ends[end] <= span.end;)
		end++;
	memcpy(out, turn->ends + first, (end - first) * sizeof *out);
	return end - first;
}

static void
note_shares(struct contest *contest, const uint64_t *counts)
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
note_costs(struct contest *contest, uint64_t *ends, size_t count)
{
	const size_t workers = worker_count(contest);
	uint64_t *costs = reallocarray(contest->costs, contest->cost_count + count / workers + 1,
	    sizeof *costs);

	if (costs == NULL)
		return -ENOMEM;
	contest->costs = costs;
	qsort(ends, count, sizeof *ends, compare);
	for (size_t i = workers; i < count; i += workers)
		costs[contest->cost_count++] = (ends[i] - ends[i - workers]) / workers;
	return 0;
}

static int
note_window(struct contest *contest, uint64_t duration)
{
	const size_t workers = worker_count(contest);
	const struct span span = find_span(contest, duration);
	uint64_t *counts = calloc(workers, sizeof *counts);
	uint64_t *ends = calloc(workers, ENDS_MOST * sizeof *ends);
	size_t count = 0;
	int error = -ENOMEM;

	if (counts != NULL && ends != NULL) {
		for (size_t i = 0; i < workers; i++) {
			counts[i] = copy_ends(&contest->board->turns[i], span, ends + count);
			count += counts[i];
		}
		note_shares(contest, counts);
		error = note_costs(contest, ends, count);
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
	return note_window(contest, duration);
}

void
contest_tell(struct contest *contest, struct contest_result *out)
{
	*out = contest->result;
	stats_compute(&out->cost, contest->costs, contest->cost_count);
}

void
contest_destroy(struct contest *contest)
{
	if (contest == NULL)
		return;
	team_destroy(contest->team);
	if (contest->board != NULL)
		munmap(contest->board, contest->board_size);
	free(contest->costs);
	free(contest);
}
