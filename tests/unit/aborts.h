/*
 * aborts: whether an assertion of ours holds its caller to the rules.
 */
#ifndef TESTS_UNIT_ABORTS_H
#define TESTS_UNIT_ABORTS_H

#include <stdbool.h>

/* Runs fn(arg) in a child of its own, silently; true when that ended with SIGABRT, false when it came to its end. */
bool aborts_in(void (*fn)(void *arg), void *arg);

#endif
