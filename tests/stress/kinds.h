/*
 * kinds: one test over all three kinds of memory files, smdish and smuf with TLS.
 *
 * Each client is a set of its own, so that those of one test program are to each other as processes
 * are. The functions fail the running test on an error.
 */
#ifndef TESTS_STRESS_KINDS_H
#define TESTS_STRESS_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/stress/client.h"

enum { KINDS = 3 };

/* Begins and ends the servers and the directory. Members of a group for cmocka. */
int kinds_begin(void **state);
int kinds_end(void **state);

/* Runs the test over each kind, whose name it prints. */
void kinds_run(void (*test)(void));

/* A call returned result: the test fails unless errno is error, or result is 0 with error 0. */
void kinds_expect(const char *call, int result, int error);
#define OK(call) kinds_expect(#call, call, 0)
#define FAILS(call, error) kinds_expect(#call, call, error)

/* Sends the server of the running kind a signal. False for smc, which has none. */
bool kinds_signal(int signal);

/* True for smc, where there is no server. */
bool kinds_is_smc(void);

/* The path of the file of the running test. */
const char *kinds_path(void);

/*
 * A set of its own, for that path; for sm_free(). NULL with errno on an error: forked children may
 * call it.
 */
struct sm *kinds_set(void);

/* Opens, in a set of its own, the file of the running test; maps size bytes unless size is 0. */
void kinds_open(struct client *c, size_t size);

/* A further handle of that file, in the set of c. */
struct sm_file *kinds_handle(const struct client *c);

#endif
