/*
 * background: -d: the daemon goes to the background while its parent waits.
 *
 * The parent exits with the daemon's status once the daemon serves, or has failed to start: a
 * script that starts a daemon then finds its sockets and its pid file in place. Standard error
 * stays open until then, for the reasons of a failure. The working directory stays too: files may
 * be named relative to it.
 */
#ifndef COMMON_SERVER_BACKGROUND_H
#define COMMON_SERVER_BACKGROUND_H

struct background {
	int parent_fd; /* the parent reads its exit status there; -1: there is no parent */
	int null_fd;   /* /dev/null, for the standard streams; not without a parent */
};

#define BACKGROUND_NONE ((struct background){ .parent_fd = -1, .null_fd = -1 })

/*
 * Forks, and returns in the child, in a session of its own; the parent waits and exits. A parent
 * whose child ends without background_complete() exits with EXIT_FAILURE. Returns 0 or a negative
 * errno.
 */
int background_enter(struct background *b);

/*
 * The daemon serves: redirects the standard streams to /dev/null, ends a log that goes to standard
 * error, and lets the parent exit with EXIT_SUCCESS. Does nothing without a parent.
 */
void background_complete(struct background *b);

#endif
