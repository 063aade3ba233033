/*
 * crew: processes that count together, and some that are killed while they do, through the library and TLS: the sum is
 * exact. What exact means, and how it is checked at every step, is told in worker.h.
 *
 * One body of tests for every kind of server.
 */
#ifndef TESTS_STRESS_CREW_H
#define TESTS_STRESS_CREW_H

#include <stdbool.h>

/* Runs the tests, over smufserver or smdishserver; what main() returns. */
int crew_main(const char *name, bool serves_smuf);

#endif
