/*
 * actor: a thread of a player: where it acts, its place in the ledger, its choices; and which
 * errors it may get from which function.
 *
 * An error that a function may not return here and now is a fault. So the errors of a silent or
 * lost server are allowed in rounds with restarts only, those of a full disk on a full disk only,
 * those of closed descriptors in a process that has closed them only, and so on.
 */
#ifndef TESTS_TORTURE_ACTOR_H
#define TESTS_TORTURE_ACTOR_H

#include <signal.h>
#include <stdbool.h>

#include "tests/torture/choice.h"
#include "tests/torture/ledger.h"
#include "tests/torture/round.h"
#include "tests/torture/stage.h"

struct handle;
struct handles;

struct actor {
	const struct round *round;
	const struct stage *stage;
	struct handles *handles;
	struct ledger_seat seat;
	struct choice choice;
	pid_t tid;
	unsigned round_number; /* of the ledger, when the process began */
	unsigned depth;        /* forks from the player to this process */
	uint64_t plant;        /* the step from which on it takes no lock; 0: none */
	char finding
	    [LEDGER_TEXT_SIZE]; /* what is wrong if it has the lock until sm_unlock(); or "" */
	/* Forks. held: a handle whose lock the thread holds, or NULL. The child never returns. */
	void (*fork)(struct actor *a, struct handle *held);
};

enum { ACTOR_INTERRUPT = SIGUSR1 }; /* a signal that ends waits, and does nothing else */

/* The functions of the library, as far as their errors differ. */
enum actor_call {
	ACTOR_OPEN,
	ACTOR_STAT,
	ACTOR_MAP,
	ACTOR_UNMAP,
	ACTOR_CLOSE,
	ACTOR_LOCK, /* and other ways to wait as long as it takes */
	ACTOR_TRYLOCK,
	ACTOR_TIMEDLOCK,
	ACTOR_UNLOCK,
	ACTOR_DOWNGRADE,
	ACTOR_GRANT
};

/*
 * Complains unless that call may fail with this error. is_inherited: the handle is a forked
 * child's, from before the fork. Returns true when the handle is of no use any more: to be closed.
 */
bool actor_judge(const struct actor *a, enum actor_call call, int error, bool is_inherited);

/* True when nothing was published for certain after sm_unlock() has failed with this error. */
bool actor_is_refusal(const struct actor *a, int error);

#endif
