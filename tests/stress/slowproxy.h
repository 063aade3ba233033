/*
 * slowproxy: a process between clients and a server's unix socket, which passes bytes on, at full
 * speed or, from the server, at one a second.
 */
#ifndef TESTS_STRESS_SLOWPROXY_H
#define TESTS_STRESS_SLOWPROXY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tests/stress/daemon.h"

struct slowproxy {
	pid_t pid;
	atomic_bool *is_slow; /* shared with the process */
	char address[DAEMON_PATH_SIZE + 16];
};

/* Starts one in front of d, or fails the test. Serves one connection after the other. */
void slowproxy_begin(struct slowproxy *p, const struct daemon *d);

/* Ends it. Never fails. */
void slowproxy_end(struct slowproxy *p);

#endif
