/*
 * v1server: a server that speaks version 1 of the protocol and nothing else, as the original does.
 *
 * It is the session core behind a filter that answers HELLO with ENOSYS. One process, plaintext,
 * unix socket. It ends with the test program.
 */
#ifndef TESTS_STRESS_V1SERVER_H
#define TESTS_STRESS_V1SERVER_H

#include <sys/types.h>

/*
 * Starts the server, which listens when this returns, or fails the test. Returns its process, for
 * the caller to kill.
 */
pid_t v1server_start(const char *path);

#endif
