/*
 * parts: attacks of one kind, each a part of a test.
 *
 * In the full form each part is an attack of its own, with a row of its own in the table. In the
 * short form all parts for a daemon follow each other in one attack, each for PARTS_MS, since most
 * of the time of an attack is the rig's.
 */
#ifndef TESTS_HOSTILE_PARTS_H
#define TESTS_HOSTILE_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "tests/hostile/rig.h"

enum {
	PARTS_MS = 200,
	PARTS_PREPARE_MS = 20 * 1000 /* of one part, or of all parts in the short form */
};

/* The default of -m, and the budget for replies and bodies: what a server may use for its peers. */
#define PARTS_SEGMENTS INT64_C(1073741824)
#define PARTS_BUDGET INT64_C(268435456)

struct parts_part {
	const char *name;
	unsigned daemons; /* RIG_BOTH, or one */

	/* The attack until that moment of clock_now(); at least once, however long that takes. */
	void (*run)(struct rig *r, uint64_t until);
};

/*
 * Runs these parts. all has the name of the short form, and the limits and options of every attack;
 * its run and daemons are not used. Returns the result of main().
 */
int parts_main(const struct rig_attack *all, const struct parts_part *these, size_t count);

#endif
