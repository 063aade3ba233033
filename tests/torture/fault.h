/*
 * fault: a player that dies of a signal of its own says in the ledger where.
 */
#ifndef TESTS_TORTURE_FAULT_H
#define TESTS_TORTURE_FAULT_H

#include <stdbool.h>

struct actor;

/*
 * From now on a fault of the calling thread is a complaint with the actor's place; then the
 * process dies of the signal. SIGBUS ends the process quietly where the host may cut the files of
 * smc short. Under a sanitizer, which has handlers of its own, it does nothing.
 */
void fault_watch(const struct actor *a);

/* True in a build with that sanitizer, "asan" or "tsan". */
bool fault_is_build(const char *variant);

#endif
