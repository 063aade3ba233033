/*
 * testpoint: what a test plans for the steps that common/base/testpoint.h names: to be killed there, to be stopped
 * there, or to be called. One plan a process; a forked child inherits it, and counts on its own. Plan and watcher are
 * set while no other thread reaches steps.
 *
 * Uses of key stream go to the file that the environment variable NONCE_LOG names, if it does when the first one
 * happens: records of tests/nonces/record.h, appended by all processes. A log that cannot be kept aborts the process.
 */
#ifndef TESTS_STRESS_TESTPOINT_H
#define TESTS_STRESS_TESTPOINT_H

#include <stdatomic.h>

enum { TESTPOINT_STEPS_MOST = 1024, TESTPOINT_NAME_SIZE = 48 };

/* Steps that were reached, in order; names has the first TESTPOINT_STEPS_MOST of count. */
struct testpoint_steps {
	atomic_uint count;
	char names[TESTPOINT_STEPS_MOST][TESTPOINT_NAME_SIZE];
};

/*
 * The nth time (from 1) that step is reached (NULL: any step), the process gets that signal: SIGKILL, SIGSTOP. The
 * string must stay. Replaces the plan there was.
 */
void testpoint_plan(const char *step, unsigned nth, int signal);

/* The same, and instead of a signal fn(step, arg) is called. */
void testpoint_plan_call(const char *step, unsigned nth, void (*fn)(const char *step, void *arg),
    void *arg);

/* No plan any more. */
void testpoint_forget(void);

/* Adds each step that this process reaches from now on to s, before the plan acts. */
void testpoint_record(struct testpoint_steps *s);

#endif
