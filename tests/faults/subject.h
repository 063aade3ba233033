/*
 * subject: a daemon under test: main_run() of either server in a forked process, with faults.h.
 *
 * It listens in plaintext on a unix socket in a directory of its own; its log is a file there. The
 * same directory serves one process after the other. Once the daemon has said that it is ready,
 * subject_start() returns, and the caller may arm the faults.
 *
 * When the daemon ends, its process compares memory, mappings and descriptors with those at its
 * begin, asks LeakSanitizer if there is one, and exits with SUBJECT_LEAKS if anything is left.
 */
#ifndef TESTS_FAULTS_SUBJECT_H
#define TESTS_FAULTS_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct faults;
struct verdict;

enum {
	SUBJECT_PATH_SIZE = 96,
	SUBJECT_SEGMENT_MOST = 80 * 1024, /* -s */
	SUBJECT_TOTAL_MOST = 256 * 1024,  /* -m */
	SUBJECT_LEASE_MS = 1000 * 1000,   /* -t, of a smdishserver that has leases */
	SUBJECT_LEAKS = 98,               /* exit status */
	SUBJECT_WAIT_MS = 15 * 1000       /* the daemon waits for memory for 10 s itself */
};

struct subject {
	bool is_smuf, has_leases;
	bool skips_lsan;      /* the caller has threads, which LeakSanitizer looks for in vain */
	void (*at_end)(void); /* called in the daemon's process at its end; may be NULL */
	struct faults *faults;
	pid_t pid; /* -1: it does not run */
	int end;   /* of a pipe that the daemon keeps open as long as it runs */
	char dir[SUBJECT_PATH_SIZE];
	char socket[SUBJECT_PATH_SIZE + 8];
	char memdir[SUBJECT_PATH_SIZE + 8];
	char log[SUBJECT_PATH_SIZE + 8];
};

/* Makes the directory and the shared memory. Returns 0 or a negative errno. */
int subject_init(struct subject *s, bool is_smuf);

/* Ends the daemon, if it runs, and removes the directory. */
void subject_fini(struct subject *s);

/* Starts the daemon and waits until it is ready. */
void subject_start(struct subject *s, struct verdict *v);

/*
 * Stops the daemon with SIGTERM, or takes note that it has ended. Anything but an exit with status
 * 0, and a file that is left in the memdir, go into the verdict.
 */
void subject_stop(struct subject *s, struct verdict *v);

/* Connects. Returns a non-blocking socket or a negative errno. */
int subject_dial(const struct subject *s);

/* Waits until a descriptor has a byte or its end. False when it has neither for SUBJECT_WAIT_MS. */
bool subject_await(int fd);

/* Copies the daemon's log to standard error. */
void subject_show_log(const struct subject *s);

#endif
