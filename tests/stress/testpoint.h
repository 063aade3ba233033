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

/* Called with every step that is reached, before the plan is looked at; NULL: nobody is. */
void testpoint_watch(void (*watch)(const char *step));

#endif
