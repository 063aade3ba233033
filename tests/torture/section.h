/*
 * section: one critical section: the lock in one of the ways there are, perhaps from reading to
 * writing and back, the checks of the ledger, the work, the release; or another end: the thread
 * kills its process, or closes the handle, and nothing of what it wrote may ever be seen.
 */
#ifndef TESTS_TORTURE_SECTION_H
#define TESTS_TORTURE_SECTION_H

#include <stdbool.h>

#include "tests/torture/actor.h"

struct handle;

/* Plays a section on that memory file, through one of the process's handles. */
void section_play(struct actor *a, unsigned number);

/* Reads what is published and checks it, through a handle that the actor has taken. */
void section_audit(struct actor *a, struct handle *t);

#endif
