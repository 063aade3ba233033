/*
 * v1server: a server that speaks version 1 of the protocol and nothing else, as the original does.
 *
 * It is the session core with HELLO filtered out: that is answered with ENOSYS. One process, plaintext, unix
 * socket. It ends with the test program.
 */
#ifndef TESTS_STRESS_V1SERVER_H
#define TESTS_STRESS_V1SERVER_H

#include <sys/types.h>

/* Starts it; it listens when this returns. The process, to be killed; the test fails when that cannot be. */
pid_t v1server_start(const char *path);

#endif
