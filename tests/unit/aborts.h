/*
 * aborts: checks that an assertion of our own code stops a caller that breaks the rules.
 */
#ifndef TESTS_UNIT_ABORTS_H
#define TESTS_UNIT_ABORTS_H

#include <stdbool.h>

/*
 * Runs fn(arg) silently in a child. True when the child ended with SIGABRT, false when fn returned.
 */
bool aborts_in(void (*fn)(void *arg), void *arg);

#endif
