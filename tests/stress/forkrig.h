/*
 * forkrig: a server with keys, and a client of it with a new file for each test, whose segment
 * counts; for the tests of fork(2). Forked children inherit the client.
 */
#ifndef TESTS_STRESS_FORKRIG_H
#define TESTS_STRESS_FORKRIG_H

#include <stdint.h>

#include "tests/stress/client.h"
#include "tests/stress/daemon.h"

extern struct daemon forkrig_server;
extern struct client forkrig_mine; /* of the running test */

#define FORKRIG_MUST(call) forkrig_must(#call, call)

/*
 * A child may call this. Returns 0 for a result of 0; else prints the call and returns 1, for the
 * exit status.
 */
int forkrig_must(const char *call, int result);

/*
 * A child may call this. Increments the counter that often, a section each time. Returns the number
 * of failures.
 */
int forkrig_increment(int times);

/* The counter; fails the test on an error. */
uint64_t forkrig_read(void);

/* For cmocka. */

int forkrig_start(void **state);
int forkrig_finish(void **state);
int forkrig_begin(void **state);
int forkrig_end(void **state);

#define FORKRIG_TEST(name) cmocka_unit_test_setup_teardown(name, forkrig_begin, forkrig_end)

#endif
