/*
 * testpoint: what a test plans for the steps that common/base/testpoint.h names: to be killed there, to be stopped
 * there, or to be called. One plan a process; a forked child inherits it, and counts on its own.
 */
#ifndef TESTS_STRESS_TESTPOINT_H
#define TESTS_STRESS_TESTPOINT_H

/* The nth time (from 1) that step is reached (NULL: any step), the process gets that signal: SIGKILL, SIGSTOP. */
void testpoint_plan(const char *step, unsigned nth, int signal);

/* No plan any more. */
void testpoint_forget(void);

/* Called with every step that is reached; NULL: nobody is. */
void testpoint_watch(void (*watch)(const char *step));

#endif
