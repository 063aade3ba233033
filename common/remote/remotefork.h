/*
 * remotefork: a connection across fork(2).
 *
 * Parent and child both go on with all they had open, each over a connection of its own. Before the fork the
 * parent asks the server for a copy of its descriptors (FORK). The child closes the inherited socket and nothing
 * more: a goodbye would use up a record number of the parent's TLS. At its first call it connects and adopts the
 * copy (CHILD_ATTACH); the numbers of its descriptors stay the same.
 *
 * A child that never calls, because it only execs, leaves its copy at the server, which keeps few of them. So each
 * child holds one end of a pipe until it has attached, execs, or ends; the parent sees that at a later fork, and
 * when there are many such copies adopts them itself, over a connection that it closes again.
 */
#ifndef COMMON_REMOTE_REMOTEFORK_H
#define COMMON_REMOTE_REMOTEFORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mount;
struct remote;

/* A copy that a child may adopt, in the parent. */
struct remotefork_copy {
	uint64_t ident;
	int child_fd; /* reads end of file when the child no longer needs it; -1: it did */
};

struct remotefork {
	/* In the parent. Guarded by the mount's mutex. */
	struct remotefork_copy *copies;
	size_t count; /* of copies */
	size_t room;

	/* Between prepare and parent or child. */
	bool is_ready; /* a copy is there for the child */
	int pipe[2];   /* -1 when there is none */

	/* In the child, and in prepare. */
	bool has_ident; /* of a copy that nobody has adopted yet */
	uint64_t ident;
	atomic_bool is_inherited; /* still the parent's connection: attach before the first call */
	pthread_mutex_t mutex;    /* of attaching */
	unsigned epoch;           /* how many forks this remote has been through */
};

void remotefork_init(struct remotefork *k);

/* Closes and frees; the connection ends. */
void remotefork_fini(struct remotefork *k);

/* Before any use of r->mux: makes sure it is this process's. Returns 0, -ESTALE (too late), or see dial_connect(). */
int remotefork_enter(struct remote *r);

/*
 * The last use of r is over: gives back the copies of children that are done, so that files do not outlive those
 * who had them open.
 */
void remotefork_settle(struct remote *r);

/* Members of struct backend_ops. */
void remotefork_prepare(struct mount *m);
void remotefork_parent(struct mount *m);
void remotefork_child(struct mount *m, bool is_prepared);

#endif
