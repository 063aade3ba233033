/*
 * child: the processes that a test forks, and the memory that it shares with them.
 *
 * A child never calls cmocka: after a failed assertion it would go on with the remaining tests.
 * Instead it reports an error with its exit status and on standard error (child_expect), or in
 * shared memory (child_complain). The functions that fail the running test say so; a child may call
 * all others.
 */
#ifndef TESTS_STRESS_CHILD_H
#define TESTS_STRESS_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CHILD_SKIPPED = 77, /* exit status of a child where the machine lacks what its test needs */
	CHILD_COMPLAINT_SIZE = 256,
	CHILD_TOGETHER_MOST = 16 /* children of child_increment_together() */
};

/* In shared memory, all zeros at first: the first complaint of any child. */
struct child_complaint {
	atomic_int is_made;
	char text[CHILD_COMPLAINT_SIZE];
};

/*
 * Returns size bytes of zeros, shared with all children that are forked later, until the program
 * ends. Fails the test when there is no memory.
 */
void *child_share(size_t size);

/*
 * fork(2). The child dies with its parent, and of its own faults: cmocka's signal handlers, which
 * it inherits, would go on with the test.
 */
pid_t child_fork(void);

/* The same; fails the test when there can be no child. */
pid_t child_begin(void);

/* In a child: unless is_right, prints what was expected and exits with status 1. */
void child_expect(bool is_right, const char *what);

/* In a child: records the complaint unless there is one, and exits with status 1. */
void child_complain(struct child_complaint *c, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* Fails the test with the complaint, if there is one. */
void child_expect_no_complaint(const struct child_complaint *c);

/*
 * Waits until another process sets the flag, for ms milliseconds of a plain build at most. Returns
 * the flag.
 */
bool child_await(const atomic_bool *flag, uint64_t ms);

/* Waits for a child to end. True for exit status 0. */
bool child_has_ended_well(pid_t pid);

/* Waits for a child to end. True when SIGKILL has killed it. */
bool child_was_killed(pid_t pid);

/* Waits for a child to end; fails the test unless its exit status is 0. */
void child_expect_success(pid_t pid);

/* The same, but skips the test, with the reason, when the exit status is CHILD_SKIPPED. */
void child_expect_success_or_skip(pid_t pid, const char *reason);

/*
 * The test calls increment(times) before and after it forks the children, which do so too, and
 * increment(10) after each fork. Waits for all; fails the test unless each call returns 0: the sum
 * is then (2 + children) * times + 10 * children.
 */
void child_increment_together(unsigned children, int times, int (*increment)(int times));

/* For a teardown: kills and reaps each child whose pid is positive, and sets the pid to -1. */
void child_kill_all(pid_t *pids, size_t count);

#endif
