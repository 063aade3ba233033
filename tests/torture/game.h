/*
 * game: plays a round: players live, die and are replaced, the adversary does its deeds, and a
 * watch looks for calls that do not return and for processes that ended by themselves. Last, an
 * auditor reads what is there.
 */
#ifndef TESTS_TORTURE_GAME_H
#define TESTS_TORTURE_GAME_H

#include <stdbool.h>

#include "tests/stress/pki.h"
#include "tests/torture/ledger.h"
#include "tests/torture/round.h"

struct game_options {
	const struct pki *pki;
	bool can_mount; /* a disk that is seen by this process and its children only */
	bool has_plant;
};

/*
 * Plays the round. False when something was wrong: the ledger has the complaint. Then processes of
 * the round may still run.
 */
bool game_play(const struct round *r, struct ledger *l, const struct game_options *o);

#endif
