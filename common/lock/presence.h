/*
 * presence: the processes of a lock file: a table in that file with a slot for each of them
 * (smc/FORMAT 3). A slot is one word, so it is never seen half written.
 *
 * With kernel locks (open file description locks, Linux 3.15) a process claims a slot once. It
 * counts as alive as long as its open file description holds a lock on that slot's byte, which the
 * kernel drops when the process dies. (The lock ends with the description; the mapping of the file
 * that was made through it keeps it, whatever the program does to its descriptors.) A process's own
 * slot is alive by definition: the kernel does not report a description's own locks.
 *
 * Without kernel locks (some library OSes have none) a process has a slot only as long as it has a
 * ticket: it claims a free one by compare-and-swap before it draws the ticket. So processes that
 * exit, or execute another program, without a ticket leave nothing behind. No process is ever found
 * dead. All processes of a file do the one or the other; the caller knows which.
 *
 * When a program has closed our descriptor, and perhaps opened a file of its own under the number,
 * we can no longer ask the kernel. Then every process counts as alive, and we lock nothing in the
 * program's file.
 *
 * The table is in host memory. A host that writes nonsense there makes processes wait, makes them
 * take a living process for dead, or makes them fail with an error; indices never come from it.
 */
#ifndef COMMON_LOCK_PRESENCE_H
#define COMMON_LOCK_PRESENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/host/ownfd.h"

enum presence_state {
	PRESENCE_IDLE,     /* has no ticket, or the slot is free */
	PRESENCE_CLAIMING, /* is about to draw a ticket, or has drawn one that is not here yet */
	PRESENCE_WAITING,  /* has this ticket: waits for its turn, or holds the lock */
	PRESENCE_ABANDONED /* waits for this ticket no more: it is skipped when its turn comes */
};

enum { PRESENCE_SLOTS = 480, PRESENCE_NONE = -1 };

/* A slot: ticket in the upper 32 bits, generation in the next 24, state in the lowest 8. */
typedef _Atomic uint64_t presence_slot;

struct presence {
	presence_slot *untrusted_slots; /* PRESENCE_SLOTS of them, in a shared mapping */
	uint64_t table_at;              /* their place in the file, where their bytes are locked */
	struct ownfd descriptor;        /* of the description that holds our lock; the caller's */
	int own;                        /* our slot, or PRESENCE_NONE */
	uint64_t generation;            /* of our slot, in its place */
	bool has_locks;                 /* the processes of this file use kernel locks */
	bool has_recovery_lock;         /* we hold it */

	/*
	 * The recovery lock without kernel locks: a word in the mapping, 1 while it is held. Not
	 * used with them.
	 */
	_Atomic uint32_t *untrusted_recovery_lock;
};

/*
 * Whether the system has kernel locks. fd: any descriptor; nothing is locked. One of O_PATH is
 * EBADF on Linux, which has them; a library OS that has none does not know O_PATH either.
 */
bool presence_has_kernel_locks(int fd);

/*
 * The table untrusted_slots, which is at table_at in the file of descriptor, with kernel locks or
 * without; without a slot yet.
 */
void presence_init(struct presence *p, presence_slot *untrusted_slots, uint64_t table_at,
    const struct ownfd *descriptor, bool has_locks);

/*
 * With kernel locks: claims a slot. Caller holds the recovery lock. Returns 0, -EUSERS when all are
 * taken, or a negative errno of fcntl(2).
 */
int presence_claim(struct presence *p);

/*
 * Takes out of the table what dead processes have left there, tickets too: the number of an
 * abandoned one comes again, 2^32 tickets later. Caller holds the recovery lock, and no process has
 * a slot.
 */
void presence_clear(const struct presence *p);

/*
 * Releases our slot, if we have one. With kernel locks ending the description does it too, and an
 * abandoned ticket in the slot is dead from then on. Without them a slot with an abandoned ticket
 * stays, until that ticket is skipped.
 */
void presence_release(struct presence *p);

/*
 * Sets our slot to CLAIMING, before a ticket is drawn. Without kernel locks it claims a slot first,
 * and is false when no slot is free.
 */
bool presence_begin(struct presence *p);

/*
 * Sets our slot to WAITING or ABANDONED with that ticket, after presence_begin(). Other processes
 * may see it late.
 */
void presence_set(struct presence *p, enum presence_state state, uint32_t ticket);

/* Sets our slot to IDLE: the ticket was served, or none was drawn. */
void presence_end(struct presence *p);

/*
 * Sets our slot from ABANDONED to WAITING. False when another process has skipped that ticket:
 * presence_begin() comes next then.
 */
bool presence_resume(struct presence *p, uint32_t ticket);

/* Takes that abandoned ticket out of the table. False when it is not there, or not any more. */
bool presence_drop_abandoned(struct presence *p, uint32_t ticket);

/* True when that ticket is abandoned: its turn will be skipped. */
bool presence_is_abandoned(const struct presence *p, uint32_t ticket);

/*
 * True when no living process has that ticket, or is about to have one that it could be. The ticket
 * was drawn before the call. Always false without kernel locks.
 */
bool presence_is_dead(const struct presence *p, uint32_t ticket);

/*
 * Locks the recovery lock: its holder alone recovers a dead process's turn, opens the lock file, or
 * closes it. With kernel locks it is a lock on the first byte behind the table, which ends with its
 * holder. Without them it is the word untrusted_recovery_lock, which stays locked when its holder
 * dies. Waits until deadline. Returns 0, -ETIMEDOUT, or -EBADF when the program has closed our
 * descriptor.
 */
int presence_lock_recovery(struct presence *p, uint64_t deadline);

/* Unlocks it if we hold it; else does nothing. */
void presence_unlock_recovery(struct presence *p);

/* False when the program has closed our descriptor: then we cannot see which processes live. */
static inline bool
presence_is_intact(const struct presence *p)
{
	return ownfd_is_intact(&p->descriptor);
}

/* With kernel locks: the number of living processes, ours included. */
unsigned presence_count(const struct presence *p);

/*
 * With kernel locks: true when another process is alive. It asks for one slot after the other, so
 * caller holds the recovery lock: no slot that was found free is claimed meanwhile.
 */
bool presence_has_others(const struct presence *p);

/*
 * How many processes wait for the lock, which has that turn; with kernel locks only living ones.
 * Who has given up waits no more.
 */
unsigned presence_count_waiters(const struct presence *p, uint32_t turn);

/* True when another process waits for the lock or has it; with kernel locks only a living one. */
bool presence_has_waiter(const struct presence *p);

#endif
