/*
 * limits: small limits of a process: of the number of its descriptors, of the size of the files
 * that it writes.
 */
#ifndef TESTS_TORTURE_LIMITS_H
#define TESTS_TORTURE_LIMITS_H

#include "tests/torture/choice.h"
#include "tests/torture/round.h"

/* Sets those of this process and of its children. */
void limits_set(const struct round *r, struct choice *c);

/* Lifts them, for another program. */
void limits_lift(void);

#endif
