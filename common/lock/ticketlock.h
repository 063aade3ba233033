/*
 * ticketlock: a fair lock across processes in a file of the host, which survives the death of its
 * holder and of its waiters (smc/FORMAT 7). tests/model/lock.pml is its protocol; ticketlock.c
 * names the steps as the model does (L1, D1, ...).
 *
 * Two u32: a process draws a ticket (adds 1 to ticket_number) and waits until turn is that number.
 * First come, first served, so shares are equal. Numbers are compared for equality only and may
 * wrap around: the lock is right as long as fewer than 2^32 tickets are out. With kernel locks
 * there are PRESENCE_SLOTS processes at most (-EUSERS, when they claim their slot); without them so
 * many tickets, and a process that finds no free slot waits for one. Threads of a process queue
 * above this: one ticket a process.
 *
 * A waiter spins, then sleeps in the kernel (futex(2)) for a bounded time and looks at the turn
 * again. Where a futex may not wake another process (without kernel locks; TICKETLOCK_NO_FUTEX
 * builds it so) the sleeps are shorter, and grow.
 *
 * A turn is dead when no living process has that ticket or is about to have it (presence.h). A
 * waiter that sees the turn stand still checks that; if it is dead the waiter locks the recovery
 * lock, checks again and moves the turn on by compare-and-swap. The holder's release moves the turn
 * in the same way, so no turn is passed twice. A stopped process is alive, and is waited for.
 * Without kernel locks no turn is ever found dead: waiters of a dead holder wait until their
 * deadline.
 *
 * A waiter that gives up leaves its ticket abandoned. The first process that sees its turn come
 * takes it out of the table and then moves the turn on: the owner may resume the ticket at that
 * very moment, and only one of them gets it.
 *
 * The words are host memory and trusted here: a host that writes them can make two processes hold
 * the lock, or none.
 */
#ifndef COMMON_LOCK_TICKETLOCK_H
#define COMMON_LOCK_TICKETLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/eintr.h"
#include "common/lock/presence.h"

/* In the lock file, at 0. */
struct ticketlock_words {
	_Atomic uint32_t ticket_number; /* the next one */
	_Atomic uint32_t turn;          /* the one being served */
};

struct ticketlock {
	struct ticketlock_words *untrusted_words;
	struct presence *presence; /* with kernel locks it has a slot of ours */
	uint32_t ticket;           /* ours: held, waited for, or abandoned */
	bool is_abandoned;         /* we gave up waiting for it */
};

/* This process's end of the lock in untrusted_words; it holds no ticket yet. */
void ticketlock_init(struct ticketlock *l, struct ticketlock_words *untrusted_words,
    struct presence *presence);

/*
 * Takes the lock, waiting until deadline (nanoseconds of CLOCK_MONOTONIC; CLOCK_NEVER; 0: a try),
 * until another thread sets *is_interrupted, or until a signal ends the wait e (NULL: none does).
 * Returns 0; -EAGAIN for a try; -ETIMEDOUT; -EINTR: the signal; -ECANCELED: interrupted; -EBADF: we
 * would have to wait, and the program has closed our descriptor.
 */
int ticketlock_take(struct ticketlock *l, uint64_t deadline, const atomic_bool *is_interrupted,
    struct eintr *e);

/* For the holder: false when another process has moved the turn on. */
bool ticketlock_is_held(const struct ticketlock *l);

/*
 * For the holder: releases the lock. Returns 0, or -ESTALE when another process had moved the turn
 * on: then there were two holders. A waiter's ticket would be lost: never call it while another
 * thread of this process is in ticketlock_take().
 */
int ticketlock_release(struct ticketlock *l);

/* The number of tickets out: the holder's and all waiters'. */
uint32_t ticketlock_count(const struct ticketlock *l);

/* How many processes wait for the lock; see presence_count_waiters(). */
unsigned ticketlock_count_waiters(const struct ticketlock *l);

/* True when a living process, perhaps this one, has the lock or is about to have it. */
bool ticketlock_is_taken(const struct ticketlock *l);

/* For the holder: true when another process waits. An abandoned ticket does not count. */
bool ticketlock_is_contended(const struct ticketlock *l);

#endif
