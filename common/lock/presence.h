/*
 * presence: who is there: a table in a lock file, a slot for each process that has it open (DESIGN
 * 7).
 *
 * A process claims a slot once; it is alive as long as its open file description holds a lock on
 * that slot's byte, which the kernel drops when the process dies. (When the description ends, to be
 * exact; the mapping of the file that was made through it keeps it, whatever the program does to
 * its descriptors.) What the slot says is one word, so nobody sees half of it. A process's own slot
 * is alive by definition: the kernel does not report a description's own locks.
 *
 * Where the system has no such locks (open file description locks, Linux 3.15; some library OSes) a
 * slot is taken by writing to it and given up in the same way; whoever dies stays in the table for
 * ever, and is taken for alive.
 *
 * A program that closes all its descriptors, and opens files of its own under their numbers, takes
 * from us the means to ask: then everybody counts as alive, and nothing is locked in its files.
 *
 * The table is in host memory. Who writes nonsense there makes others wait, take a living process
 * for dead, or give up with an error; indices are never taken from it.
 */
#ifndef COMMON_LOCK_PRESENCE_H
#define COMMON_LOCK_PRESENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum presence_state {
	PRESENCE_IDLE,      /* has no ticket, or nobody is there */
	PRESENCE_CLAIMING,  /* is about to draw a ticket, or has drawn one that is not here yet */
	PRESENCE_WAITING,   /* has this ticket: waits for its turn, or holds the lock */
	PRESENCE_ABANDONED, /* does not wait any more for this ticket; whoever meets it skips it */
	PRESENCE_FREE,      /* without kernel locks: nobody is there */
	PRESENCE_LEFT /* without them: gone, and its abandoned ticket is still to be skipped */
};

enum { PRESENCE_SLOTS = 480, PRESENCE_NONE = -1 };

/*
 * What a slot says: ticket in the upper 32 bits, generation in the next 24, state in the lowest 8.
 */
typedef _Atomic uint64_t presence_slot;

struct presence_view {
	uint32_t ticket;
	enum presence_state state;
};

struct presence {
	presence_slot *untrusted_slots; /* PRESENCE_SLOTS of them, in a shared mapping */
	uint64_t table_at;              /* their place in the file, where their bytes are locked */
	int fd;                         /* the description that holds ours; the caller's */
	uint64_t device;                /* of the file that it is, */
	uint64_t inode;                 /* unless the program has put another there */
	int own;                        /* PRESENCE_NONE before presence_claim() */
	bool has_locks;
	bool has_recovery_lock; /* we hold it */

	/*
	 * The recovery lock where there are no kernel locks: a word in the mapping, 1 while it is
	 * held; NULL: there is none.
	 */
	_Atomic uint32_t *untrusted_recovery_lock;
	uint64_t generation; /* of ours, in its place */
};

/* A table that nobody of us is in yet. */
void presence_init(struct presence *p, presence_slot *untrusted_slots, uint64_t table_at, int fd);

/* Takes a slot. Returns 0, -EUSERS when all are taken, -EIO. */
int presence_claim(struct presence *p);

/* Gives ours up; nothing without one. Closing the description does it too. */
void presence_release(struct presence *p);

/* Ours says so from now on. */
void presence_set(struct presence *p, enum presence_state state, uint32_t ticket);

/* Ours said from with that ticket, and says to now; false when somebody changed it meanwhile. */
bool presence_change(struct presence *p, enum presence_state from, enum presence_state to,
    uint32_t ticket);

/*
 * Someone said that it abandoned that ticket: takes it out of the table. False when nobody says so
 * (any more).
 */
bool presence_drop_abandoned(struct presence *p, uint32_t ticket);

/*
 * True when nobody alive has that ticket, or is about to have one that it could be. The ticket was
 * drawn before the call.
 */
bool presence_is_dead(const struct presence *p, uint32_t ticket);

/*
 * Locks the recovery lock: its holder alone recovers a dead process's turn, opens the lock file, or
 * closes it. With kernel locks it is a lock on the first byte behind the table, which ends with its
 * holder. Without them it is the word untrusted_recovery_lock, which stays locked when its holder
 * dies; without that word too nothing is locked. Waits until deadline. Returns 0, -ETIMEDOUT, or
 * -EBADF when the program has closed our descriptor.
 */
int presence_lock_recovery(struct presence *p, uint64_t deadline);

/* Unlocks it if we hold it; else does nothing. */
void presence_unlock_recovery(struct presence *p);

/* False when the program has closed our descriptor: who is alive cannot be found out any more. */
bool presence_is_intact(const struct presence *p);

/* Slots of living processes, ours included. */
unsigned presence_count(const struct presence *p);

/* True when somebody else is alive. */
bool presence_has_others(const struct presence *p);

#endif
