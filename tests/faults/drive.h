/*
 * drive: executes actions in a world, from a script or from bytes of a fuzzer or generator.
 *
 * A script's action names the status that it expects; it counts in a run without faults only, and
 * shows that the script does what it is there for.
 */
#ifndef TESTS_FAULTS_DRIVE_H
#define TESTS_FAULTS_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

enum drive_act {
	DRIVE_BEGIN,    /* connect; arg: 2, HELLO 2 first; NEW_FDTABLE */
	DRIVE_CONNECT,  /* connect only */
	DRIVE_HELLO,    /* arg: version */
	DRIVE_TABLE,    /* NEW_FDTABLE */
	DRIVE_OPEN,     /* arg: file */
	DRIVE_CLOSE,    /* fd */
	DRIVE_MAP,      /* fd, arg: size */
	DRIVE_EXCLUDE,  /* ACQUIRE exclusive; fd, arg: timeout */
	DRIVE_SHARE,    /* ACQUIRE shared; fd, arg: timeout */
	DRIVE_UPGRADE,  /* ACQUIRE upgrade; fd, arg: timeout */
	DRIVE_ODD_MODE, /* ACQUIRE with mode 4; fd */
	DRIVE_RELEASE,  /* fd, arg: enum asks_release */
	DRIVE_LOCK,     /* fd, arg: enum asks_lock */
	DRIVE_UNLOCK,   /* fd, arg: enum asks_unlock */
	DRIVE_CANCEL,
	DRIVE_STAT, /* fd */
	DRIVE_FORK,
	DRIVE_ATTACH,  /* arg: number of the fork */
	DRIVE_PINGS,   /* arg: so many requests with replies of 8 bytes */
	DRIVE_ODD,     /* arg: operation */
	DRIVE_GARBAGE, /* arg: kind */
	DRIVE_HALF,    /* of the next request only the last arg bytes are kept back */
	DRIVE_WHOLE,   /* the rest follows */
	DRIVE_SHUT,    /* the sending side */
	DRIVE_HANG_UP,
	DRIVE_LAZY,  /* arg: whether it reads no replies */
	DRIVE_TIME,  /* arg: milliseconds */
	DRIVE_HOLDS, /* fd: in a run without faults, the peer holds the lock */
	DRIVE_ACTS
};

/* What is expected besides a status. */
enum { DRIVE_ANY = -2, DRIVE_WAITS = -1 };

struct drive_action {
	enum drive_act act;
	unsigned peer, fd;
	uint32_t arg;
	int expected; /* status, DRIVE_WAITS for no reply, DRIVE_ANY */
};

/* A script ends with an action whose act is DRIVE_ACTS. */
struct drive_script {
	const char *name;
	const struct drive_action *actions;
	bool is_for_smdish, is_for_smuf, has_leases;
};

/*
 * Executes one action. Settles afterwards, so that the daemon's calls come in the same order each
 * time, unless is_hasty.
 */
void drive_act(struct world *w, const struct drive_action *a, bool is_hasty);

/* Executes a script; is_exact: the statuses must be the expected ones. */
void drive_script(struct world *w, const struct drive_script *script, bool is_exact);

/* Executes the actions that size bytes say. */
void drive_bytes(struct world *w, const uint8_t *bytes, size_t size);

#endif
