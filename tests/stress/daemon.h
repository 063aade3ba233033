/*
 * daemon: a smdishserver or smufserver of the test's own, in a private directory, with its log in a
 * file.
 *
 * It listens on a unix socket, with TLS when it has keys, and on TCP too when asked. Every function
 * fails the test on an error. A server never outlives the test program.
 *
 * A server reports each misdeed of a peer in exactly one line of its log. So a test marks the log's
 * end before it begins, and counts the lines after it.
 */
#ifndef TESTS_STRESS_DAEMON_H
#define TESTS_STRESS_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "tests/stress/pki.h"
#include "tests/stress/scratch.h"

enum { DAEMON_ARGS_MOST = 8, DAEMON_PATH_SIZE = SCRATCH_PATH_SIZE + 8, DAEMON_ADDRESS_SIZE = 64 };

struct daemon_config {
	bool is_smuf;          /* smufserver, its files in memdir */
	bool has_keys;         /* TLS with keys of its own, to which daemon_init() sets pki */
	const struct pki *pki; /* TLS with these keys; NULL: plaintext */
	const char *tcp_host;  /* NULL: no TCP, else the address to listen on, at a free port */
	bool is_unheard;       /* its standard error is a pipe that nobody reads; no log */
	int limited;           /* a resource of setrlimit(2), of which it has limit */
	rlim_t limit;          /* 0: limited is not limited */
	const char *args[DAEMON_ARGS_MOST]; /* more options, up to a NULL */
};

struct daemon {
	struct daemon_config config;
	struct pki own_keys;
	pid_t pid;    /* -1 when it does not run */
	int error_fd; /* its standard error, the caller's; -1: the log. Set before daemon_start() */
	int pipe[2];  /* when it is unheard: its standard error */
	char dir[SCRATCH_PATH_SIZE];
	char socket[DAEMON_PATH_SIZE];
	char log[DAEMON_PATH_SIZE];
	char memdir[DAEMON_PATH_SIZE];      /* of a smufserver */
	char address[DAEMON_PATH_SIZE + 8]; /* "unix:SOCKET" */
	char tcp[DAEMON_ADDRESS_SIZE];      /* "tcp:HOST:PORT", or "" */
};

/* Makes the directory, and the keys if has_keys says so. The server does not run yet. */
void daemon_init(struct daemon *d, const struct daemon_config *config);

/* Starts the server and waits until it accepts connections. It appends to the log. */
void daemon_start(struct daemon *d);

/*
 * Sends SIGTERM: the server must exit with status 0 and remove its socket. Does nothing when it
 * does not run.
 */
void daemon_stop(struct daemon *d);

/* Sends the server a signal. After SIGKILL it waits for its end; the socket file stays. */
void daemon_signal(struct daemon *d, int signal);

/* Kills the server if it still runs and removes the directory; never fails. */
void daemon_fini(struct daemon *d);

/* daemon_init() and daemon_start(); daemon_stop() and daemon_fini(). */
void daemon_open(struct daemon *d, const struct daemon_config *config);
void daemon_close(struct daemon *d);

/* The same; fails the test when the log has a warning or an error. */
void daemon_close_silent(struct daemon *d);

/* A group teardown for cmocka: daemon_close() of *state, which the group's setup has set. */
int daemon_teardown(void **state);

/* Connects to the unix socket. Returns a blocking, close-on-exec descriptor or a negative errno. */
int daemon_dial(const struct daemon *d);

/* Returns the end of the log. */
size_t daemon_log_mark(const struct daemon *d);

/* Counts the lines from mark on that contain both texts; "" is in every line. */
unsigned daemon_log_count(const struct daemon *d, size_t mark, const char *a, const char *b);

/* Counts the lines from mark on that are warnings or errors. */
unsigned daemon_log_complaints(const struct daemon *d, size_t mark);

/* Fails the test, and shows the log, unless daemon_log_complaints() is complaints. */
void daemon_log_expect(const struct daemon *d, size_t mark, unsigned complaints);

/* Waits until a line from mark on contains both texts. */
void daemon_log_await(const struct daemon *d, size_t mark, const char *a, const char *b);

/* Writes the log from mark on to standard error, before the test fails. */
void daemon_log_show(const struct daemon *d, size_t mark);

#endif
