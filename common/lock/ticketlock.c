#include "common/lock/ticketlock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/testpoint.h"

enum {
	SPINS = 100,          /* looks at the turn before the first sleep */
	PAUSE_LEAST_US = 50,  /* sleep, growing, */
	PAUSE_MOST_US = 5000, /* where nobody wakes us, */
	WAIT_LEAST_US = 1000, /* and where a futex should */
	WAIT_MOST_US = 20000
};

void
ticketlock_init(struct ticketlock *l, struct ticketlock_words *untrusted_words,
    struct presence *presence)
{
	*l = (struct ticketlock){ .untrusted_words = untrusted_words, .presence = presence };
}

static uint32_t
turn_of(const struct ticketlock *l)
{
	return atomic_load(&l->untrusted_words->turn);
}

#ifndef TICKETLOCK_NO_FUTEX
/* Futexes have 32 classes of sleepers; whose ticket comes next is woken, and few others. */
static uint32_t
class_of(uint32_t ticket)
{
	return UINT32_C(1) << ticket % 32;
}
#endif

/* Sleeps, at most so long, unless the turn is not seen any more. */
static void
sleep_at(const struct ticketlock *l, uint32_t seen, uint64_t us)
{
	struct timespec ts = { .tv_sec = 0, .tv_nsec = (long)us * 1000 };

#ifdef TICKETLOCK_NO_FUTEX
	(void)l;
	(void)seen;
	(void)nanosleep(&ts, NULL);
#else
	uint64_t until = clock_now() + us * 1000;

	ts = clock_timespec(until);
	/*
	 * Absolute, as FUTEX_WAIT_BITSET has it. Where it does not work at all we sleep all the
	 * same.
	 */
	if (syscall(SYS_futex, &l->untrusted_words->turn, FUTEX_WAIT_BITSET, seen, &ts, NULL,
		class_of(l->ticket)) != 0 &&
	    errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
		(void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_LEAST_US * 1000 }, NULL);
#endif
}

/* Moves the turn on from seen, unless somebody has, and wakes whose it is now. */
static bool
move_turn(struct ticketlock *l, uint32_t seen)
{
	struct ticketlock_words *words = l->untrusted_words;
	uint32_t expected = seen;

	if (!atomic_compare_exchange_strong(&words->turn, &expected, seen + 1))
		return false;
	testpoint_reach("ticketlock: turn moved");
#ifndef TICKETLOCK_NO_FUTEX
	if (atomic_load(&words->ticket_number) != seen + 1)
		(void)syscall(SYS_futex, &words->turn, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL,
		    class_of(seen + 1));
#endif
	return true;
}

/*
 * Under the recovery lock: looks again, for others may have been here before us, and moves the turn
 * on.
 */
static bool
take_over(struct ticketlock *l, uint32_t seen)
{
	bool has_moved = false;

	if (presence_lock_recovery(l->presence, 0) != 0)
		return false;
	testpoint_reach("ticketlock: recovery locked");
	if (turn_of(l) == seen && presence_is_dead(l->presence, seen)) {
		testpoint_reach("ticketlock: looked again");
		has_moved = move_turn(l, seen);
	}
	presence_unlock_recovery(l->presence);
	return has_moved;
}

/*
 * The turn stood still at seen: is anybody there? Returns true when it is worth looking at it
 * again.
 */
static bool
look(struct ticketlock *l, uint32_t seen)
{
	if (presence_drop_abandoned(l->presence, seen)) {
		testpoint_reach("ticketlock: dropped an abandoned ticket");
		return move_turn(l, seen);
	}
	if (!l->presence->has_locks || !presence_is_dead(l->presence, seen))
		return false;
	testpoint_reach("ticketlock: found the turn dead");
	return take_over(l, seen);
}

/* Draws a ticket. From before it is drawn until it is in the table we are about to have one. */
static void
draw(struct ticketlock *l)
{
	presence_set(l->presence, PRESENCE_CLAIMING, 0);
	testpoint_reach("ticketlock: claiming");
	l->ticket = atomic_fetch_add(&l->untrusted_words->ticket_number, 1);
	testpoint_reach("ticketlock: ticket drawn");
	presence_set(l->presence, PRESENCE_WAITING, l->ticket);
	testpoint_reach("ticketlock: waiting");
}

/* Takes up again the ticket that we abandoned, unless somebody has skipped it. */
static bool
resume(struct ticketlock *l)
{
	if (!l->is_abandoned)
		return false;
	l->is_abandoned = false;
	return presence_change(l->presence, PRESENCE_ABANDONED, PRESENCE_WAITING, l->ticket);
}

/* Gives up waiting. Returns 0 when our turn came at that very moment. */
static int
abandon(struct ticketlock *l)
{
	l->is_abandoned = true;
	presence_set(l->presence, PRESENCE_ABANDONED, l->ticket);
	testpoint_reach("ticketlock: abandoned");
	if (turn_of(l) == l->ticket && resume(l))
		return 0;
	return -ETIMEDOUT;
}

static bool
spin(const struct ticketlock *l)
{
	int i;

	for (i = 0; i < SPINS; i++) {
		if (turn_of(l) == l->ticket)
			return true;
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#endif
	}
	/* On one core who holds the lock needs it now. */
	(void)sched_yield();
	return turn_of(l) == l->ticket;
}

static uint64_t
shorter(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How long to sleep at most, microseconds, before now is deadline. */
static uint64_t
time_left(uint64_t now, uint64_t deadline)
{
	return deadline == CLOCK_NEVER ? UINT64_MAX : (deadline - now) / 1000 + 1;
}

static int
wait_for_turn(struct ticketlock *l, uint64_t deadline)
{
#ifdef TICKETLOCK_NO_FUTEX
	const uint64_t least = PAUSE_LEAST_US, most = PAUSE_MOST_US;
#else
	const uint64_t least = WAIT_LEAST_US, most = WAIT_MOST_US;
#endif
	uint64_t pause = least, now;
	uint32_t seen, last = l->ticket;

	for (;;) {
		seen = turn_of(l);
		if (seen == l->ticket)
			return 0;
		/* Somebody lives: it goes on. */
		if (seen != last && spin(l))
			return 0;
		if (seen == last && look(l, seen))
			continue;
		/*
		 * Without our descriptor we would not notice that a holder has died, and wait for
		 * ever.
		 */
		if (seen == last && !presence_is_intact(l->presence))
			return abandon(l) == 0 ? 0 : -EBADF;
		now = clock_now();
		if (now >= deadline)
			return abandon(l);
		pause = seen == last ? shorter(2 * pause, most) : least;
		last = seen;
		sleep_at(l, seen, shorter(pause, time_left(now, deadline)));
	}
}

/* Takes a ticket only if it is served at once. */
static bool
try_once(struct ticketlock *l, uint32_t seen)
{
	uint32_t expected = seen;

	presence_set(l->presence, PRESENCE_CLAIMING, 0);
	testpoint_reach("ticketlock: claiming");
	if (!atomic_compare_exchange_strong(&l->untrusted_words->ticket_number, &expected,
		seen + 1)) {
		presence_set(l->presence, PRESENCE_IDLE, 0);
		return false;
	}
	testpoint_reach("ticketlock: ticket drawn");
	l->ticket = seen;
	presence_set(l->presence, PRESENCE_WAITING, seen);
	testpoint_reach("ticketlock: waiting");
	return true;
}

/* A ticket that we abandoned is still out: nothing but its turn serves us. True when that came. */
static bool
try_abandoned(struct ticketlock *l)
{
	if (turn_of(l) != l->ticket || !l->is_abandoned)
		return false;
	if (presence_change(l->presence, PRESENCE_ABANDONED, PRESENCE_WAITING, l->ticket)) {
		l->is_abandoned = false;
		return true;
	}
	l->is_abandoned = false;
	return false;
}

static int
try(struct ticketlock *l)
{
	uint32_t seen;

	for (;;) {
		if (try_abandoned(l))
			return 0;
		seen = turn_of(l);
		if (atomic_load(&l->untrusted_words->ticket_number) == seen) {
			/* All tickets were served, ours too: somebody has skipped it. */
			l->is_abandoned = false;
			return try_once(l, seen) ? 0 : -EAGAIN;
		}
		if (!look(l, seen))
			return -EAGAIN;
	}
}

int
ticketlock_take(struct ticketlock *l, uint64_t deadline)
{
	if (deadline == 0)
		return try(l);
	if (!resume(l))
		draw(l);
	return wait_for_turn(l, deadline);
}

bool
ticketlock_is_held(const struct ticketlock *l)
{
	return turn_of(l) == l->ticket;
}

int
ticketlock_release(struct ticketlock *l)
{
	bool has_moved = move_turn(l, l->ticket);

	presence_set(l->presence, PRESENCE_IDLE, 0);
	testpoint_reach("ticketlock: idle");
	return has_moved ? 0 : -ESTALE;
}

uint32_t
ticketlock_count(const struct ticketlock *l)
{
	return atomic_load(&l->untrusted_words->ticket_number) - turn_of(l);
}
