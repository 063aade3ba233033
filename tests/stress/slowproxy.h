/*
 * slowproxy: processes between clients and a server's unix socket, which pass bytes on, at full
 * speed or, from the server, at so many a second.
 */
#ifndef TESTS_STRESS_SLOWPROXY_H
#define TESTS_STRESS_SLOWPROXY_H

#include <stdatomic.h>
#include <sys/types.h>

#include "tests/stress/daemon.h"

struct slowproxy {
	pid_t pid;
	atomic_uint *rate; /* bytes a second that come from the server; 0: as fast as they can */
	char address[DAEMON_PATH_SIZE + 16];
};

/* Starts one in front of d, at full speed, or fails the test. Serves many connections at a time. */
void slowproxy_begin(struct slowproxy *p, const struct daemon *d);

/* Ends it. Never fails. */
void slowproxy_end(struct slowproxy *p);

#endif
