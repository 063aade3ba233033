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
	SPINS = 100, /* reads of the turn before the first sleep */

	/* The sleeps of a waiter, from the least, doubled up to the most. */
	PAUSE_LEAST_US = 50, /* where the next holder may not be woken */
	PAUSE_MOST_US = 5000,
	WAIT_LEAST_US = 1000, /* where a futex wakes it */
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
/* Futexes have 32 classes of sleepers; the waiter whose turn comes is woken, and few others. */
static uint32_t
class_of(uint32_t ticket)
{
	return UINT32_C(1) << ticket % 32;
}
#endif

/*
 * Sleeps for us microseconds at most. Returns 0, or -EINTR when a signal ends the wait e (NULL:
 * none does).
 */
static int
sleep_for(uint64_t us, struct eintr *e)
{
	struct timespec ts = { .tv_sec = 0, .tv_nsec = (long)us * 1000 };

	if (e != NULL)
		return eintr_poll(e, NULL, clock_now() + us * 1000) == -EINTR ? -EINTR : 0;
	(void)nanosleep(&ts, NULL);
	return 0;
}

/* The same, while the turn is seen. */
static int
sleep_while(const struct ticketlock *l, uint32_t seen, uint64_t us, struct eintr *e)
{
#ifdef TICKETLOCK_NO_FUTEX
	(void)l;
	(void)seen;
	return sleep_for(us, e);
#else
	int error = eintr_futex(e, &l->untrusted_words->turn, FUTEX_WAIT_BITSET, seen,
	    class_of(l->ticket), clock_now() + us * 1000);

	if (error == 0 || error == -ETIMEDOUT || error == -EINTR)
		return error == -EINTR ? error : 0;
	/* Without futexes we sleep all the same. */
	return sleep_for(PAUSE_LEAST_US, e);
#endif
}

/* Moves the turn on from seen and wakes its waiter. False when another process has moved it. */
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
 * R1 to R5: checks again under the recovery lock, for another process may have recovered the turn
 * before us, and moves it on. Returns true when it has.
 */
static bool
take_over(struct ticketlock *l, uint32_t seen)
{
	bool has_moved = false;

	if (presence_lock_recovery(l->presence, 0) != 0)
		return false;
	testpoint_reach("ticketlock: recovery locked");
	if (turn_of(l) == seen && presence_is_dead(l->presence, seen)) {
		testpoint_reach("ticketlock: checked again");
		has_moved = move_turn(l, seen);
	}
	presence_unlock_recovery(l->presence);
	return has_moved;
}

/*
 * D0: the turn stood still at seen: moves it on if its ticket is abandoned (S1 to S3) or dead (D1,
 * R1). Returns true when it was moved.
 */
static bool
recover_turn(struct ticketlock *l, uint32_t seen)
{
	if (presence_drop_abandoned(l->presence, seen)) {
		testpoint_reach("ticketlock: dropped an abandoned ticket");
		return move_turn(l, seen);
	}
	if (!presence_is_dead(l->presence, seen))
		return false;
	testpoint_reach("ticketlock: found the turn dead");
	return take_over(l, seen);
}

/*
 * Waits until a slot is free. When abandoned tickets have all slots, no process waits for its turn
 * and would skip them: we do.
 */
static int
await_slot(struct ticketlock *l, uint64_t deadline, const atomic_bool *is_interrupted,
    struct eintr *e)
{
	int error;

	while (!presence_begin(l->presence)) {
		if (recover_turn(l, turn_of(l)))
			continue;
		if (atomic_load(is_interrupted))
			return -ECANCELED;
		if (clock_now() >= deadline)
			return -ETIMEDOUT;
		error = sleep_for(PAUSE_MOST_US, e);
		if (error != 0)
			return error;
	}
	return 0;
}

/* L1 to L3: the slot says CLAIMING from before the ticket is drawn until the ticket is in it. */
static int
draw_ticket(struct ticketlock *l, uint64_t deadline, const atomic_bool *is_interrupted,
    struct eintr *e)
{
	int error = await_slot(l, deadline, is_interrupted, e);

	if (error != 0)
		return error;
	testpoint_reach("ticketlock: claiming");
	l->ticket = atomic_fetch_add(&l->untrusted_words->ticket_number, 1);
	testpoint_reach("ticketlock: ticket drawn");
	presence_set(l->presence, PRESENCE_WAITING, l->ticket);
	testpoint_reach("ticketlock: waiting");
	return 0;
}

/* L1, O3, Y2: resumes the ticket that we abandoned, unless another process has skipped it. */
static bool
resume_ticket(struct ticketlock *l)
{
	if (!l->is_abandoned)
		return false;
	l->is_abandoned = false;
	return presence_resume(l->presence, l->ticket);
}

/* O1 to O3: gives up waiting. Returns 0 when our turn came at that very moment, else error. */
static int
abandon_ticket(struct ticketlock *l, int error)
{
	l->is_abandoned = true;
	presence_set(l->presence, PRESENCE_ABANDONED, l->ticket);
	testpoint_reach("ticketlock: abandoned");
	if (turn_of(l) == l->ticket && resume_ticket(l))
		return 0;
	return error;
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
	/* On one core the holder needs the processor now. */
	(void)sched_yield();
	return turn_of(l) == l->ticket;
}

static uint64_t
shorter(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Microseconds from now to deadline, rounded up. */
static uint64_t
time_left(uint64_t now, uint64_t deadline)
{
	return deadline == CLOCK_NEVER ? UINT64_MAX : (deadline - now) / 1000 + 1;
}

/* False where a process that releases the lock may wake no other: in a library OS. */
static bool
is_woken(const struct ticketlock *l)
{
#ifdef TICKETLOCK_NO_FUTEX
	(void)l;
	return false;
#else
	return l->presence->has_locks;
#endif
}

/* L4 */
static int
wait_for_turn(struct ticketlock *l, uint64_t deadline, const atomic_bool *is_interrupted,
    struct eintr *e)
{
	const uint64_t least = is_woken(l) ? WAIT_LEAST_US : PAUSE_LEAST_US;
	const uint64_t most = is_woken(l) ? WAIT_MOST_US : PAUSE_MOST_US;
	uint64_t pause = least, now;
	uint32_t seen, last = l->ticket;

	for (;;) {
		seen = turn_of(l);
		if (seen == l->ticket)
			return 0;
		/* The turn moves: its holders live. */
		if (seen != last && spin(l))
			return 0;
		if (seen == last && recover_turn(l, seen))
			continue;
		/*
		 * Without our descriptor we would not notice a holder's death, and wait for ever.
		 */
		if (seen == last && l->presence->has_locks && !presence_is_intact(l->presence))
			return abandon_ticket(l, -EBADF);
		if (atomic_load(is_interrupted))
			return abandon_ticket(l, -ECANCELED);
		now = clock_now();
		if (now >= deadline)
			return abandon_ticket(l, -ETIMEDOUT);
		pause = seen == last ? shorter(2 * pause, most) : least;
		last = seen;
		if (sleep_while(l, seen, shorter(pause, time_left(now, deadline)), e) == -EINTR)
			return abandon_ticket(l, -EINTR);
	}
}

/* Y4 to Y7: draws a ticket only if it is served at once. */
static bool
try_new_ticket(struct ticketlock *l, uint32_t seen)
{
	uint32_t expected = seen;

	if (!presence_begin(l->presence))
		return false;
	testpoint_reach("ticketlock: claiming");
	if (!atomic_compare_exchange_strong(&l->untrusted_words->ticket_number, &expected,
		seen + 1)) {
		presence_end(l->presence);
		return false;
	}
	testpoint_reach("ticketlock: ticket drawn");
	l->ticket = seen;
	presence_set(l->presence, PRESENCE_WAITING, seen);
	testpoint_reach("ticketlock: waiting");
	return true;
}

static int
try_lock(struct ticketlock *l)
{
	uint32_t seen;

	for (;;) {
		/* Y1, Y2: as long as our abandoned ticket is out, only its turn can serve us. */
		seen = turn_of(l);
		testpoint_reach("ticketlock: turn read");
		if (seen == l->ticket && resume_ticket(l))
			return 0;
		/* Y3: a process that cannot get the lock never claims. */
		if (atomic_load(&l->untrusted_words->ticket_number) == seen) {
			/* All tickets were served: another process has skipped ours. */
			l->is_abandoned = false;
			return try_new_ticket(l, seen) ? 0 : -EAGAIN;
		}
		/* Y8 */
		if (!recover_turn(l, seen))
			return -EAGAIN;
	}
}

int
ticketlock_take(struct ticketlock *l, uint64_t deadline, const atomic_bool *is_interrupted,
    struct eintr *e)
{
	int error = 0;

	if (deadline == 0)
		return try_lock(l);
	if (!resume_ticket(l))
		error = draw_ticket(l, deadline, is_interrupted, e);
	return error == 0 ? wait_for_turn(l, deadline, is_interrupted, e) : error;
}

bool
ticketlock_is_held(const struct ticketlock *l)
{
	return turn_of(l) == l->ticket;
}

/* U1, U2 */
int
ticketlock_release(struct ticketlock *l)
{
	bool has_moved = move_turn(l, l->ticket);

	presence_end(l->presence);
	testpoint_reach("ticketlock: idle");
	return has_moved ? 0 : -ESTALE;
}

uint32_t
ticketlock_count(const struct ticketlock *l)
{
	uint32_t turn = turn_of(l);

	/* The turn first: it passes tickets meanwhile, and would seem to be ahead of them. */
	testpoint_reach("ticketlock: counting");
	return atomic_load(&l->untrusted_words->ticket_number) - turn;
}

unsigned
ticketlock_count_waiters(const struct ticketlock *l)
{
	return presence_count_waiters(l->presence, turn_of(l));
}

bool
ticketlock_is_taken(const struct ticketlock *l)
{
	uint32_t seen = turn_of(l);

	return atomic_load(&l->untrusted_words->ticket_number) != seen &&
	    !presence_is_abandoned(l->presence, seen) && !presence_is_dead(l->presence, seen);
}

bool
ticketlock_is_contended(const struct ticketlock *l)
{
	return ticketlock_count(l) > 1 && presence_has_waiter(l->presence);
}
