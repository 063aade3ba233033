/*
 * child: the processes that a test forks.
 *
 * A child never calls cmocka: after a failed assertion it would go on with the remaining tests.
 * Instead it reports an error with its exit status and on standard error (child_expect).
 */
#ifndef TESTS_STRESS_CHILD_H
#define TESTS_STRESS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * fork(2). The child dies with its parent, and of its own faults: cmocka's signal handlers, which it
 * inherits, would go on with the test.
 */
pid_t child_fork(void);

/* In a child: unless is_right, prints what was expected and exits with status 1. */
void child_expect(bool is_right, const char *what);

/* Waits for a child to end. True for exit status 0. */
bool child_has_ended_well(pid_t pid);

/* Waits for a child to end. True when SIGKILL has killed it. */
bool child_was_killed(pid_t pid);

#endif
