/*
 * daemon: a server as a child process, on a unix socket in a directory of its own.
 */
#ifndef TESTS_PROTOCOL_DAEMON_H
#define TESTS_PROTOCOL_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

enum { DAEMON_REASON_SIZE = 512, DAEMON_PATIENCE_MS = 20 * 1000, DAEMON_DIR_SIZE = 64 };

struct daemon {
	pid_t pid;                 /* 0: it does not run */
	char dir[DAEMON_DIR_SIZE]; /* private, below $TMPDIR or /tmp */
	char path[96];             /* of the socket */
	char log[96];              /* its standard error */
	char pki[96];              /* directory of the keys, once daemon_make_keys() was called */
};

/*
 * Makes a directory for the daemon, which does not run yet. Returns 0 or a negative errno. A daemon
 * of all zeros does not run and has no directory.
 */
int daemon_init(struct daemon *d);

/* Removes the directory with all its content. The daemon must not run. */
void daemon_fini(struct daemon *d);

/*
 * Makes a root, "server", "client" and "operator" below d->pki with that script. Returns false with
 * a reason.
 */
bool daemon_make_keys(struct daemon *d, const char *mkpki, char reason[DAEMON_REASON_SIZE]);

/*
 * Runs program with these arguments, NULL at their end, and d->path as the address; waits until it
 * accepts connections. Returns false with a reason.
 */
bool daemon_start(struct daemon *d, const char *program, const char *const *args,
    char reason[DAEMON_REASON_SIZE]);

/*
 * Sends SIGTERM. Returns false with a reason unless the server exits with 0 and removes its socket.
 */
bool daemon_stop(struct daemon *d, char reason[DAEMON_REASON_SIZE]);

/* Connects. Returns a blocking socket or a negative errno. */
int daemon_connect(const struct daemon *d);

#endif
