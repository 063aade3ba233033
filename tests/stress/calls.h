/*
 * calls: the public functions of the library, as rows of a table: how a program comes to call one
 * while its server does not answer, what it returns then, and within what time.
 *
 * A *caller* makes one call, in a process of its own, with a connection of its own. Nothing here
 * calls cmocka.
 */
#ifndef TESTS_STRESS_CALLS_H
#define TESTS_STRESS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/stress/client.h"

struct daemon;

#define CALLS_WAITED CLIENT_MOUNT "/waited" /* the file that a caller waits for; others have it */

/* Why the server does not answer. */
enum calls_trouble {
	CALLS_STOPPED, /* its process is */
	CALLS_CUT,     /* the network lets nothing through */
	CALLS_SLOW,    /* it sends a byte a second */
	CALLS_TROUBLES
};

/* Within what time a call returns. */
enum calls_bound {
	CALLS_AT_ONCE,
	CALLS_TIMED, /* 50 ms after its deadline */
	CALLS_BRIEF, /* a second: tries, and fork */
	CALLS_CONNECT,
	CALLS_SILENCE /* and a second a MiB, or a further silent server */
};

struct caller;

struct call {
	const char *name; /* the function, and with what; smclient(3) has the same words */
	int (*run)(struct caller *c);
	enum calls_bound bound;
	int error;             /* that it returns; 0: success */
	bool is_harmless;      /* the connection lives on, and so do its files */
	bool is_forked;        /* the first call of a forked child */
	bool is_waiting;       /* for CALLS_WAITED, when the trouble begins */
	bool has_leases;       /* the server */
	bool is_first;         /* no file is open */
	bool is_unmapped;      /* the file */
	bool is_closed;        /* the handle; the mapping is not */
	bool is_locked;        /* the file; all of its segment is changed */
	bool is_read;          /* the file is held for reading */
	bool is_drained;       /* through another handle, after a third one has let go */
	bool is_one_way;       /* slow replies do not hinder it */
	size_t size;           /* of the segment; 0: CALLS_SIZE */
	unsigned more;         /* open files */
	bool is_mounted_twice; /* the server, with a file open and a connection each time */
};

enum { CALLS_SIZE = 4096, CALLS_COUNT = 40 };

extern const struct call calls_table[CALLS_COUNT];

struct caller {
	const struct call *call;
	const struct daemon *daemon;
	const char *address;
	char options[64];
	struct client client;
	struct sm_file *other;  /* another file of the mount */
	struct sm_file *reader; /* the other handle */
};

/* What the call returns. */
int calls_error(const struct call *call, enum calls_trouble trouble);

/* The longest time that the call may take, ms, with that silence of the mount, s. */
uint64_t calls_bound_ms(const struct call *call, unsigned silence);

/*
 * Connects, and does what comes before the call. Returns 0 or an errno, with sm_error(). In either
 * case caller_end() frees.
 */
int caller_begin(struct caller *c, const struct call *call, const struct daemon *d,
    const char *address, unsigned silence);

/* The server answers again: 0 if the files of a harmless call work on, or an errno. */
int caller_check(struct caller *c);

void caller_end(struct caller *c);

#endif
