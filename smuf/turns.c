#include "smuf/turns.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/wire/protocol.h"
#include "smuf/memdir.h"
#include "smuf/storefile.h"

/*
 * The pause between two checks of a lock file is CHECK_SOON_MS after a change of the lock or while
 * something is wrong, and else doubles up to CHECK_LATE_MS. With many files it grows further: of
 * the busy files, whose pauses are below the longest one, at most CHECKS_A_MS are checked each
 * millisecond, and as many of the others.
 */
enum { CHECK_SOON_MS = 20, CHECK_LATE_MS = 100, CHECKS_A_MS = 5 };

/* Other clients wait when so many tickets are out: that of the turn and another one. */
enum { TICKETS_WHEN_OTHERS_WAIT = 2 };

static void
is_due(struct timer *t)
{
	struct storefile *s = container_of(t, struct storefile, timer);

	visits_add(&s->all->checks, s->file->tree, &s->visit, 0);
}

static void
set_busy(struct storefile *s, bool is_busy)
{
	if (is_busy && !s->is_busy)
		s->all->busy++;
	if (!is_busy && s->is_busy)
		s->all->busy--;
	s->is_busy = is_busy;
}

/* Checks the file in ms milliseconds, or later when there are many files. */
static void
check_after(struct storefile *s, uint64_t ms)
{
	const struct memfile_tree *t = s->file->tree;
	uint64_t longest = t->count / CHECKS_A_MS, shortest;

	if (longest < CHECK_LATE_MS)
		longest = CHECK_LATE_MS;
	set_busy(s, ms < longest);
	shortest = s->all->busy / CHECKS_A_MS;
	if (ms < shortest)
		ms = shortest;
	s->pause = ms < longest ? ms : longest;
	timer_arm(t->timers, &s->timer, clock_after_ms(*t->now, s->pause), is_due);
}

void
turns_begin(struct storefile *s)
{
	check_after(s, CHECK_SOON_MS);
}

void
turns_end(struct storefile *s)
{
	set_busy(s, false);
	timer_disarm(s->file->tree->timers, &s->timer);
	visits_remove(&s->all->checks, &s->visit);
}

bool
turns_is_served(const struct storefile *s, uint32_t turn)
{
	return turn == s->turn;
}

static void
store_turn(struct storefile *s)
{
	storefile_write_turn(s, s->turn);
	s->drifting_since = 0;
}

static void
advance(struct storefile *s)
{
	s->turn++;
	s->drifting_since = 0;
	s->unclaimed_since = 0;
}

void
turns_lock_changed(struct storefile *s, enum store_event event)
{
	if (event != STORE_EVENT_CLAIMED)
		advance(s);
	if (event == STORE_EVENT_DROPPED)
		store_turn(s);
	check_after(s, CHECK_SOON_MS);
}

/* True when *since is ms or more ago; sets it to now when it is 0. */
static bool
has_lasted(uint64_t *since, uint64_t now, unsigned ms)
{
	if (*since == 0)
		*since = now;
	return now - *since >= ms * CLOCK_MS;
}

static void
skip_turn(struct storefile *s)
{
	char name[LOG_ESCAPED_SIZE];

	if (memdir_may_log(s->all->dir, *s->file->tree->now))
		log_warning("%s: turn %lu skipped: no client claimed it for %d s, and others wait",
		    log_escape(name, s->name, strlen(s->name)), (unsigned long)s->turn,
		    PROTOCOL_TURN_UNCLAIMED_MS / 1000);
	advance(s);
	store_turn(s);
}

/*
 * The lock is free and the file has this ticket and turn: repairs drift and skips an unclaimed
 * turn, once they have lasted. Returns true when the file is not as it should be.
 */
static bool
repair(struct storefile *s, uint32_t ticket, uint32_t turn)
{
	uint64_t now = *s->file->tree->now;
	bool is_unclaimed = (int32_t)(ticket - s->turn) >= TICKETS_WHEN_OTHERS_WAIT;

	if (turn == s->turn)
		s->drifting_since = 0;
	else if (has_lasted(&s->drifting_since, now, PROTOCOL_TURN_DRIFT_MS))
		store_turn(s);
	if (!is_unclaimed)
		s->unclaimed_since = 0;
	else if (has_lasted(&s->unclaimed_since, now, PROTOCOL_TURN_UNCLAIMED_MS))
		skip_turn(s);
	return is_unclaimed || turn != s->turn;
}

void
turns_check(struct visit *v)
{
	struct storefile *s = container_of(v, struct storefile, visit);
	uint64_t pause = 2 * s->pause;
	uint32_t ticket, turn;

	if (!TAILQ_EMPTY(&s->file->lock.holders))
		s->drifting_since = s->unclaimed_since = 0;
	else if (storefile_read_lock(s, &ticket, &turn) == 0 && repair(s, ticket, turn))
		pause = CHECK_SOON_MS;
	check_after(s, pause);
}
