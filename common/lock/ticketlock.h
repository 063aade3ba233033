/*
 * ticketlock: a fair lock across processes in a file of the host, which survives the death of
 * whoever holds it or waits for it (DESIGN 7). tests/model/lock.pml is its protocol; the steps
 * below have the names they have there.
 *
 * Two u32: take a ticket (add 1 to ticket_number) and wait until turn is that number. First come
 * first served; what a process drew first it is served first, so shares are equal. Numbers are
 * compared for equality only, so that they may wrap around: the lock is right as long as fewer than
 * 2^32 tickets are out, and there are PRESENCE_SLOTS processes at most (-EUSERS, when they claim
 * their slot). Threads of a process queue above this: one ticket a process.
 *
 * Waiting is spinning, then sleeping in the kernel (futex(2)) for a bounded time, looking again
 * whenever it is over; where futexes do not wake other processes (TICKETLOCK_NO_FUTEX builds it so)
 * it is sleeping with growing pauses.
 *
 * Who dies. A turn is dead when nobody alive has that ticket, or is about to have it (presence.h).
 * Whoever waits and sees the turn stand still looks; under the recovery lock it looks again and
 * moves the turn on by compare-and-swap. Who holds the lock moves it in the same way, so no turn is
 * passed twice. Who is merely stopped is alive, and waited for.
 *
 * Who gives up waiting leaves the ticket as abandoned. Whoever meets it when its turn comes takes
 * it out of the table, and only then moves the turn on: its owner may want it again at that very
 * moment, and only one of them gets it.
 *
 * The words are host memory and trusted here: who writes them at will can make two processes hold
 * the lock, or none.
 */
#ifndef COMMON_LOCK_TICKETLOCK_H
#define COMMON_LOCK_TICKETLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/lock/presence.h"

/* In the lock file, at 0. */
struct ticketlock_words {
	_Atomic uint32_t ticket_number; /* the next one */
	_Atomic uint32_t turn;          /* the one being served */
};

struct ticketlock {
	struct ticketlock_words *untrusted_words;
	struct presence *presence; /* with a slot of ours */
	uint32_t ticket;           /* ours, while it is held, waited for, or abandoned */
	bool is_abandoned;         /* we gave up waiting for it */
};

/* Ours, over those; nothing is taken yet. */
void ticketlock_init(struct ticketlock *l, struct ticketlock_words *untrusted_words,
    struct presence *presence);

/*
 * Takes the lock, waiting until deadline (nanoseconds of CLOCK_MONOTONIC; CLOCK_NEVER; 0: a try).
 * Returns 0; -EAGAIN for a try; -ETIMEDOUT; -EBADF: we would have to wait, and the program has
 * closed our descriptor.
 */
int ticketlock_take(struct ticketlock *l, uint64_t deadline);

/* Whether it is still ours, which takes it. */
bool ticketlock_is_held(const struct ticketlock *l);

/*
 * Gives it back. Returns 0, or -ESTALE when somebody has taken it over: then there were two of us.
 */
int ticketlock_release(struct ticketlock *l);

/* Tickets out: who holds it and all who wait. */
uint32_t ticketlock_count(const struct ticketlock *l);

#endif
