/*
 * body: a function that a test runs in a forked child, where there is no cmocka: it returns 0, or
 * the number of the line that is wrong (EXPECT), which fails the test in the parent.
 */
#ifndef TESTS_UNIT_BODY_H
#define TESTS_UNIT_BODY_H

#include <sys/types.h>

/* In a body: returns the number of this line unless it is so. */
#define EXPECT(what) \
	do { \
		if (!(what)) \
			return __LINE__; \
	} while (0)

struct body {
	pid_t pid;
	int end; /* of a pipe, from which the parent reads the line */
};

/* Starts fn in a child, which must end by itself within a minute. */
void body_begin(struct body *b, int (*fn)(void));

/* Waits for the child; fails the test unless fn has returned 0. */
void body_end(struct body *b);

/* Both. */
void body_run(int (*fn)(void));

#endif
