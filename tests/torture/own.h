/*
 * own: a process closes all its descriptors with closefrom(3), the library's too, and opens files
 * and sockets of its own, which get their numbers. The library must leave these alone.
 */
#ifndef TESTS_TORTURE_OWN_H
#define TESTS_TORTURE_OWN_H

struct actor;

/*
 * Closes and opens them, unless another thread of the process is in a call: the library cannot
 * help then. From now on the process is void (ledger.h).
 */
void own_close_all(struct actor *a);

/* Complains when one of the process's own has been closed, read, written or moved. */
void own_check(const struct actor *a);

#endif
