/*
 * forks: copies of descriptor tables, each for a forked child to take (FORK and CHILD_ATTACH,
 * PROTOCOL 6).
 *
 * A pending fork has a random ident that is good for one CHILD_ATTACH. Without one it ends
 * PROTOCOL_FORK_GRACE_MS after its parent's session. Until then its table keeps the memory files
 * alive. A session has at most PROTOCOL_FORKS_MOST pending forks.
 */
#ifndef COMMON_SERVER_CORE_FORKS_H
#define COMMON_SERVER_CORE_FORKS_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/fdtable.h"
#include "common/wire/protocol.h"

struct forks;
struct fork_parent;

struct pending_fork {
	RB_ENTRY(pending_fork) link;
	TAILQ_ENTRY(pending_fork) parent_link;
	struct forks *forks;
	struct fork_parent *parent;    /* NULL once the session has ended */
	enum protocol_version version; /* that the parent speaks */
	uint64_t ident;
	struct fdtable table;
	struct timer expiry; /* armed once the parent's session has ended */
};

RB_HEAD(fork_tree, pending_fork);
TAILQ_HEAD(fork_list, pending_fork);

/* The pending forks of a server. */
struct forks {
	struct fork_tree tree;
	bool separates_versions; /* a child must speak its parent's version */
	struct timer_queue *timers;
	const uint64_t *now;
};

/* The pending forks of one session. */
struct fork_parent {
	struct fork_list list;
	uint32_t count;
};

/* No pending forks. timers and *now are the server's and outlive f. */
void forks_init(struct forks *f, bool separates_versions, struct timer_queue *timers,
    const uint64_t *now);

/* Ends all pending forks. */
void forks_fini(struct forks *f);

/* A session that has no pending forks. */
void forks_parent_init(struct fork_parent *parent);

/* The parent's session ends: its pending forks end PROTOCOL_FORK_GRACE_MS from now. */
void forks_parent_fini(struct forks *f, struct fork_parent *parent);

/*
 * Copies table for a child of parent, which speaks version. Returns 0 with the ident, -EMFILE at
 * PROTOCOL_FORKS_MOST, -ENOMEM or -EIO (no entropy).
 */
int forks_create(struct forks *f, struct fork_parent *parent, const struct fdtable *table,
    enum protocol_version version, uint64_t *ident);

/*
 * Hands the table of that ident to the caller and ends the pending fork. Returns 0, or -EINVAL for
 * an unknown ident and for a version that is not the parent's, if f separates them (*out is
 * untouched).
 */
int forks_take(struct forks *f, uint64_t ident, enum protocol_version version, struct fdtable *out);

#endif
