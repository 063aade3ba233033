#include "smuf/turns.h"

#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "smuf/memdir.h"
#include "smuf/storefile.h"

enum {
	LOOK_SOON_MS = 20,  /* between two looks at a lock that is in use, and */
	LOOK_LATE_MS = 100, /* at one that was not for a while, as long as files are few: */
	LOOKS_A_MS = 10,    /* at most so many at all of these together: each costs system calls */
	OTHERS_WAIT = 2     /* tickets out: the turn's own and another one */
};

static void look(struct timer *t);

static void
look_after(struct storefile *s, uint64_t ms)
{
	const struct memfile_tree *t = s->file->tree;

	s->pause = ms;
	timer_arm(t->timers, &s->timer, clock_after_ms(*t->now, ms), look);
}

void
turns_begin(struct storefile *s)
{
	look_after(s, LOOK_SOON_MS);
}

bool
turns_is_served(const struct storefile *s, uint32_t turn)
{
	return turn == s->turn;
}

static void
store_turn(struct storefile *s)
{
	if (memdir_write_turn(s->dir, storefile_name(s), s->file->life, s->turn) != 0)
		storefile_tell_lost(s);
	s->drifting_since = 0;
}

/* The next turn is served. */
static void
move_on(struct storefile *s)
{
	s->turn++;
	s->drifting_since = 0;
	s->unclaimed_since = 0;
}

void
turns_lock_changed(struct storefile *s, enum store_event event)
{
	if (event != STORE_EVENT_CLAIMED)
		move_on(s);
	if (event == STORE_EVENT_DROPPED)
		store_turn(s);
	look_after(s, LOOK_SOON_MS);
}

/* True when since is so long ago; sets it when it was 0. */
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

	log_warning("%s: nobody came for turn %lu in %d s, and others wait: skipped",
	    log_escape(name, s->file->name, s->file->name_size), (unsigned long)s->turn,
	    TURNS_UNCLAIMED_MS / 1000);
	move_on(s);
	store_turn(s);
}

/* Nobody holds the lock: mends what there is to mend. Returns whether something is amiss. */
static bool
mend(struct storefile *s, uint32_t ticket, uint32_t turn)
{
	uint64_t now = *s->file->tree->now;
	bool is_unclaimed = (int32_t)(ticket - s->turn) >= OTHERS_WAIT;

	if (turn == s->turn)
		s->drifting_since = 0;
	else if (has_lasted(&s->drifting_since, now, TURNS_DRIFT_MS))
		store_turn(s);
	if (!is_unclaimed)
		s->unclaimed_since = 0;
	else if (has_lasted(&s->unclaimed_since, now, TURNS_UNCLAIMED_MS))
		skip_turn(s);
	return is_unclaimed || turn != s->turn;
}

static uint64_t
longest_pause(const struct storefile *s)
{
	uint64_t ms = s->file->tree->count / LOOKS_A_MS;

	return ms > LOOK_LATE_MS ? ms : LOOK_LATE_MS;
}

static void
look(struct timer *t)
{
	struct storefile *s = container_of(t, struct storefile, timer);
	uint32_t ticket, turn;
	uint64_t pause = 2 * s->pause;

	if (!TAILQ_EMPTY(&s->file->lock.holders))
		s->drifting_since = s->unclaimed_since = 0;
	else if (memdir_read_lock(s->dir, storefile_name(s), s->file->life, &ticket, &turn) != 0)
		storefile_tell_lost(s);
	else if (mend(s, ticket, turn))
		pause = LOOK_SOON_MS;
	look_after(s, pause < longest_pause(s) ? pause : longest_pause(s));
}
