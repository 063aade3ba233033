/*
 * forks: descriptor tables, each for a forked child to take (FORK and CHILD_ATTACH, PROTOCOL 6).
 *
 * A pending fork has a random ident that is good for one CHILD_ATTACH. It refers to a snapshot of
 * its parent's table, which forks of an unchanged table share, and which keeps the memory files
 * alive. It is charged to the account of its parent's table: one of ACCOUNT_FORKS, and its bytes
 * and those of a new snapshot of ACCOUNT_MEMORY. A session has at most PROTOCOL_FORKS_MOST.
 *
 * Pending forks end PROTOCOL_FORK_GRACE_MS after their parent's session, those of one parent
 * together, by a task of the account: some in each turn. A fork has its ident and keeps its files
 * until the task comes to it, and loses both in one step. So no client sees that its turn came
 * late: its parent might as well have ended some milliseconds later.
 *
 * All parents have the same grace. So they end in the order in which their sessions ended, and the
 * first has the only timer.
 */
#ifndef COMMON_SERVER_CORE_FORKS_H
#define COMMON_SERVER_CORE_FORKS_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/schedule.h"
#include "common/wire/protocol.h"

struct account;
struct fdtable;
struct fork_parent;
struct session;
struct snapshot;

struct pending_fork {
	RB_ENTRY(pending_fork) link;
	TAILQ_ENTRY(pending_fork) parent_link;
	struct fork_parent *parent;
	struct snapshot *snapshot; /* a reference */
	uint64_t ident;
};

RB_HEAD(fork_tree, pending_fork);
TAILQ_HEAD(fork_list, pending_fork);
TAILQ_HEAD(fork_parents, fork_parent);

/* The pending forks of a server. */
struct forks {
	struct fork_tree tree;
	bool separates_versions; /* a child must speak its parent's version */
	struct fork_parents
	    graces;          /* parents whose session has ended, in the order of their ends */
	struct timer expiry; /* the end of the first one's grace */
	struct timer_queue *timers;
	const uint64_t *now;
	struct schedule *schedule;
};

/*
 * The pending forks of one session. It lives as long as the session, and as the last of the forks.
 */
struct fork_parent {
	struct forks *forks;
	struct account *account; /* a reference; charged */
	struct fork_list list;   /* the latest one last */
	uint32_t count;
	enum protocol_version version; /* that the session speaks */
	enum { FORK_PARENT_LIVES, FORK_PARENT_IN_GRACE, FORK_PARENT_ENDS } state;
	TAILQ_ENTRY(fork_parent) link; /* in grace: in graces */
	uint64_t deadline;             /* in grace: its end */
	struct task task;              /* then: ends the forks */
};

/* No pending forks. timers, *now and schedule are the server's and outlive f. */
void forks_init(struct forks *f, bool separates_versions, struct timer_queue *timers,
    const uint64_t *now, struct schedule *schedule);

/*
 * Ends all graces. The sessions of all parents have ended; when the schedule has become idle, there
 * are no pending forks any more.
 */
void forks_end_graces(struct forks *f);

/*
 * Makes a pending fork of table for a child of the session that has *parent and speaks version.
 * *parent is NULL before its first fork, and is created then. Returns 0 with the ident; -EMFILE at
 * PROTOCOL_FORKS_MOST, or when ACCOUNT_FORKS has none left for the account; -ENOMEM or -EIO (no
 * entropy).
 */
int forks_create(struct forks *f, struct fork_parent **parent, const struct fdtable *table,
    enum protocol_version version, uint64_t *ident);

/* Ends the pending fork of that ident, which nobody has been told. */
void forks_cancel(struct forks *f, uint64_t ident);

/* The parent's session ends: its pending forks end PROTOCOL_FORK_GRACE_MS from now. Takes NULL. */
void forks_parent_ended(struct fork_parent *parent);

/*
 * Opens the descriptors of the fork of that ident in out, an empty table, for session; the pending
 * fork ends. Returns 0; -EINVAL for an unknown ident and for a version that is not the parent's, if
 * f separates them; -ENOMEM. On failure out is empty, and the ident stays good.
 */
int forks_take(struct forks *f, uint64_t ident, enum protocol_version version,
    struct session *session, struct fdtable *out);

#endif
