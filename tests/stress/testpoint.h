/*
 * testpoint: a test plans what happens at the steps that common/base/testpoint.h names: a signal
 * that kills or stops the process there, or a call. A process has one plan; a forked child inherits
 * it and counts on its own. Set plan, record and watcher while no other thread reaches steps.
 *
 * Uses of key stream are appended, as records of tests/nonces/record.h, to the file that the
 * environment variable NONCE_LOG names when the first one happens; all processes share that file. A
 * process that cannot append aborts.
 */
#ifndef TESTS_STRESS_TESTPOINT_H
#define TESTS_STRESS_TESTPOINT_H

#include <stdatomic.h>

enum { TESTPOINT_STEPS_MOST = 1024, TESTPOINT_NAME_SIZE = 48 };

/* The steps reached, in order; names has the first TESTPOINT_STEPS_MOST of count. */
struct testpoint_steps {
	atomic_uint count;
	char names[TESTPOINT_STEPS_MOST][TESTPOINT_NAME_SIZE];
};

/*
 * When the process reaches step (NULL: any step) for the nth time (from 1), it gets that signal:
 * SIGKILL, SIGSTOP. The string must stay. Replaces an earlier plan.
 */
void testpoint_plan(const char *step, unsigned nth, int signal);

/* The same, but calls fn(step, arg) instead of sending a signal. */
void testpoint_plan_call(const char *step, unsigned nth, void (*fn)(const char *step, void *arg),
    void *arg);

/* Removes the plan. */
void testpoint_forget(void);

/* Adds each step that this process reaches from now on to s, before the plan acts. */
void testpoint_record(struct testpoint_steps *s);

/* Calls watch(step) at each step that this process reaches from now on, before the plan acts. */
void testpoint_watch(void (*watch)(const char *step));

#endif
