/*
 * player: a process of the torture: several threads that play sections on memory files, open,
 * close and map them, ask for their state, and fork children, which do the same.
 *
 * A player ends when its life is over, when the round is, or when it is killed; the adversary
 * replaces it. A child plays for some steps and ends in one of the ways in which processes end.
 * Nobody waits for a child: the adversary looks whether it is still there.
 */
#ifndef TESTS_TORTURE_PLAYER_H
#define TESTS_TORTURE_PLAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/torture/ledger.h"
#include "tests/torture/round.h"
#include "tests/torture/stage.h"

/* What all processes of a round have in common. */
struct player_world {
	const struct round *round;
	const struct stage *stage;
	struct ledger *ledger;
	bool has_plant; /* one player does one thing wrong */
};

/* A life of a player: the process that plays it. */
struct player {
	unsigned index;
	unsigned lives;                 /* that have begun */
	struct ledger_process *process; /* NULL: does not live */
	pid_t pid;
	uint64_t end;         /* the step of its first thread at which it ends */
	bool is_to_be_killed; /* by the adversary, then */
};

/* Begins the player's next life in a new process. False when there can be none. */
bool player_begin(struct player *p, const struct player_world *w);

/*
 * Forks the auditor, which opens all memory files, and when all players have ended reads and
 * checks them. Returns its process id, or -1.
 */
pid_t player_audit(const struct player_world *w, struct ledger_process **process);

#endif
