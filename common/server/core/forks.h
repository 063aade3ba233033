/*
 * forks: copies of descriptor tables that wait for a forked child to adopt them (FORK, CHILD_ATTACH).
 *
 * A fork's ident is random, is good once, and lives as long as its parent's session and FORKS_GRACE_MS
 * more. Until then it keeps the files of its table alive.
 */
#ifndef COMMON_SERVER_CORE_FORKS_H
#define COMMON_SERVER_CORE_FORKS_H

#include <bsd/sys/tree.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/fdtable.h"

enum { FORKS_GRACE_MS = 60 * 1000 };

struct server;
struct session;

struct pending_fork {
	RB_ENTRY(pending_fork) link;
	TAILQ_ENTRY(pending_fork) parent_link;
	struct server *server;
	struct session *parent;        /* NULL when it has ended */
	enum protocol_version version; /* that the parent speaks */
	uint64_t ident;
	struct fdtable table;
	struct timer expiry; /* armed when the parent has ended */
};

TAILQ_HEAD(fork_list, pending_fork);
RB_HEAD(fork_tree, pending_fork);

/* Copies the session's table. Returns 0, -EMFILE at PROTOCOL_FORK_LIMIT pending ones, -ENOMEM, -EIO. */
int forks_create(struct session *s, uint64_t *ident);

/*
 * Takes the table of that ident for s; the ident is then used up. Returns 0, or -EINVAL (*out untouched), also when the
 * store separates versions and the parent spoke another one.
 */
int forks_adopt(struct session *s, uint64_t ident, struct fdtable *out);

/* The parent's session ends: what is pending of it expires FORKS_GRACE_MS from now. */
void forks_orphan(struct session *s);

/* Ends all that are pending. */
void forks_fini(struct server *v);

#endif
