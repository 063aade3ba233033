/*
 * deed: what the adversary does: it stops and kills processes, stops, ends and kills the server,
 * lies, fills the disk, has the players go on with another memory file.
 */
#ifndef TESTS_TORTURE_DEED_H
#define TESTS_TORTURE_DEED_H

#include "tests/torture/choice.h"
#include "tests/torture/ledger.h"
#include "tests/torture/stage.h"

/* Does what the choice's step says. */
void deed_do(struct stage *s, struct ledger *l, struct choice *c);

/* Kills the process: from now on it does not count. */
void deed_kill(struct ledger *l, struct ledger_process *p);

#endif
