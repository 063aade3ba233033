#include "smuf/turns.h"

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/wire/protocol.h"
#include "smuf/storefile.h"

/*
 * The pause between two checks of a lock file is CHECK_SOON_MS after a change of the lock, and
 * doubles up to CHECK_LATE_MS. With many files it grows further: at most CHECKS_A_MS files are
 * checked each millisecond, since a check costs system calls.
 */
enum { CHECK_SOON_MS = 20, CHECK_LATE_MS = 100, CHECKS_A_MS = 10 };

/* Other clients wait when so many tickets are out: that of the turn and another one. */
enum { TICKETS_WHEN_OTHERS_WAIT = 2 };

static void check(struct timer *t);

static void
check_after(struct storefile *s, uint64_t ms)
{
	const struct memfile_tree *t = s->file->tree;

	s->pause = ms;
	timer_arm(t->timers, &s->timer, clock_after_ms(*t->now, ms), check);
}

void
turns_begin(struct storefile *s)
{
	check_after(s, CHECK_SOON_MS);
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

	log_warning("%s: turn %lu skipped: no client claimed it for %d s, and others wait",
	    log_escape(name, s->file->name, s->file->name_size), (unsigned long)s->turn,
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

static uint64_t
longest_pause(const struct storefile *s)
{
	uint64_t ms = s->file->tree->count / CHECKS_A_MS;

	return ms > CHECK_LATE_MS ? ms : CHECK_LATE_MS;
}

static void
check(struct timer *t)
{
	struct storefile *s = container_of(t, struct storefile, timer);
	uint32_t ticket, turn;
	uint64_t pause = 2 * s->pause;

	if (!TAILQ_EMPTY(&s->file->lock.holders))
		s->drifting_since = s->unclaimed_since = 0;
	else if (storefile_read_lock(s, &ticket, &turn) == 0 && repair(s, ticket, turn))
		pause = CHECK_SOON_MS;
	check_after(s, pause < longest_pause(s) ? pause : longest_pause(s));
}
