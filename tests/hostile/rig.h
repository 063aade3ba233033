/*
 * rig: an attack on a server, beside honest clients that must not notice.
 *
 * A test is an attack against one of the daemons, over TLS, with keys of its own: the certificate
 * "client" is the honest clients' (honest.h), "attacker" is the attackers'. The honest clients use
 * the server's unix socket as this process's user; attackers without a certificate are another
 * peer than these (attacker.h). The order of a test:
 *
 *	calm		the honest clients alone
 *	attacked	the attack, in a process of its own, for as long as rig_is_on(); then its
 *			end: its connections are closed, the honest clients go on for a moment
 *	judged		the limits below, attack->check(), the server's end
 *
 * The limits: no honest client had a complaint, and each counter is exact; the resident's worst
 * wait is at most RIG_WAIT_MS, the newcomer's RIG_NEWCOMER_MS; the server had at most memory plus
 * RIG_MEMORY bytes more than when it was calm, has given all but a tenth of its size back within a
 * minute, its log grew by at most log plus RIG_LOG bytes, it uses no processor time once the
 * clients are idle, and exits with 0 within RIG_STOP_MS of SIGTERM. The waits of both clients are
 * net (honest.h); all other times grow on a busy machine (patience.h).
 *
 * Environment: HOSTILE=full makes the attacks long, and the limit of the resident's wait
 * RIG_STRICT_MS; HOSTILE_TABLE names a file to which each test appends its row of the table.
 */
#ifndef TESTS_HOSTILE_RIG_H
#define TESTS_HOSTILE_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/hostile/honest.h"
#include "tests/stress/daemon.h"
#include "tests/stress/procfs.h"

enum {
	RIG_WAIT_MS = 200,
	RIG_STRICT_MS = 20,
	RIG_NEWCOMER_MS = 1000,
	RIG_STOP_MS = 2000,
	RIG_MEMORY = 64 * 1024 * 1024,
	RIG_LOG = 64 * 1024,
	RIG_NOTES = 8
};

#define RIG_ATTACKER_CERTIFICATE "attacker"

/* The daemons that an attack is for. */
enum { RIG_SMDISH = 1, RIG_SMUF = 2, RIG_BOTH = 3 };

struct rig;

struct rig_attack {
	const char *name; /* its row of the table */
	unsigned daemons; /* RIG_BOTH, or one */

	/* The attack; an assertion that fails in it fails the test. It may fork (child.h). */
	void (*run)(struct rig *r);
	/* After the attack, in the test; may be NULL. */
	void (*check)(struct rig *r);

	unsigned prepares_ms; /* that it may need before its rig_restart() */
	/*
	 * The server may keep something for so long after the attack. The full form waits for it,
	 * with the honest clients; the short one does not look whether memory comes back.
	 */
	unsigned lingers_ms;

	bool keeps_newcomers_out; /* by right: their wait is not judged */
	int64_t memory; /* bytes that the server may use for the attackers, besides RIG_MEMORY */
	int64_t log;    /* bytes of log besides RIG_LOG */
	struct daemon_config config; /* options; keys, TCP and the kind are set by the rig */
};

/* What the processes of a test share. */
struct rig_shared {
	struct honest resident, newcomer;
	struct child_complaint complaint; /* of an attacker */
	atomic_bool is_over;              /* the attack has to end */
	atomic_ulong attempts;            /* connections of the attackers */
	atomic_ulong ended;               /* of these, refused or ended by the server */
	atomic_ulong notes[RIG_NOTES];    /* for an attack to tell its check */
};

struct rig {
	const struct rig_attack *attack;
	struct daemon daemon;
	struct rig_shared *shared;
	uint64_t until; /* of clock_now(): the attack ends */
	pid_t resident, newcomer, attacker;
	struct procfs_usage calm; /* of the server, when the attack began */
	int64_t peak;             /* bytes, most that it had above calm */
	size_t log;               /* bytes of log since then */
};

/* True while the attack is to go on. */
bool rig_is_on(const struct rig *r);

/* In an attack: its preparation is over, its time begins now. */
void rig_restart(struct rig *r);

/* True for the long form. */
bool rig_is_full(void);

/* Runs all attacks against their daemons. Returns the result of main(). */
int rig_main(const char *name, const struct rig_attack *attacks, size_t count);

#endif
