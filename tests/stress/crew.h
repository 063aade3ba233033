/*
 * crew: processes that count together through the library and TLS, some of which are killed
 * meanwhile; the sum is exact. worker.h says what exact means and how each step checks it.
 *
 * All kinds of servers run the same body of tests.
 */
#ifndef TESTS_STRESS_CREW_H
#define TESTS_STRESS_CREW_H

#include <stdbool.h>

/* Runs the tests over smufserver or smdishserver. Returns the result of main(). */
int crew_main(const char *name, bool serves_smuf);

#endif
