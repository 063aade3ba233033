/*
 * inherit: the descriptors of a connection that a forked child inherits.
 *
 * Parent and child both go on with all they had open, each over a connection of its own. Before the
 * fork the parent asks the server for a copy of its descriptors (FORK). The child closes the
 * inherited socket without sending a byte: a TLS shutdown would use up a record number of the
 * parent. At its first call it connects and attaches to the copy (CHILD_ATTACH); the numbers of its
 * descriptors stay the same.
 *
 * A child that never calls, because it only execs, leaves its copy at the server, which keeps few
 * of them. So each child holds one end of a pipe until it has attached, execs, or ends. The copy is
 * then an *orphan*, which the parent finds at a later fork. When there are many orphans the parent
 * reclaims them: it attaches to them over a connection that it then closes.
 *
 * All functions except inherit_attach() are called with the mount's mutex.
 */
#ifndef COMMON_REMOTE_INHERIT_H
#define COMMON_REMOTE_INHERIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dial_target;
struct dial_terms;
struct mux;

/* A copy that a child may attach to, in the parent. */
struct inherit_copy {
	uint64_t ident;
	int child_fd; /* reads end of file when the copy is an orphan; -1: it is known to be one */
};

struct inherit {
	const struct dial_target *target; /* the caller's */

	/* In the parent. Guarded by the mount's mutex. */
	struct inherit_copy *copies;
	size_t count; /* of copies */
	size_t room;

	/* Between ready and parent or child. */
	bool is_ready; /* there is a copy for the child */
	int pipe[2];   /* -1 when there is none */

	/* In the child, and in ready. */
	bool has_ident; /* of a copy that no process has attached to */
	uint64_t ident;
	atomic_bool is_inherited; /* the connection is the parent's: attach before the first call */
	pthread_mutex_t mutex;    /* of attaching, and of registering files anew after it */
	unsigned epoch;           /* counts the forks that led to this process */
};

void inherit_init(struct inherit *k, const struct dial_target *target);

/* Closes and frees; the connection ends. */
void inherit_fini(struct inherit *k);

/*
 * Before every use of *mux: in a forked child's first call, replaces it and *terms by a connection
 * of its own, until that time. Returns 0, -ESTALE (the copy is gone, or there was none), or see
 * dial_connect(); with words.
 */
int inherit_attach(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until);

/*
 * The connection, which lives, is going to be closed: reclaims the orphans, so that files do not
 * outlive the processes that had them open.
 */
void inherit_reclaim(struct inherit *k);

/*
 * For fork(2), beside the functions of mux. ready speaks to the server, until that time: attaches
 * first, if need be, and gets a copy for the child; without one the child will get -ESTALE. Returns
 * false when it could not attach: another thread may, and replace *mux during the fork.
 * is_prepared false: prepare was not called.
 */
bool inherit_fork_ready(struct inherit *k, struct mux **mux, struct dial_terms *terms,
    uint64_t until);
void inherit_fork_parent(struct inherit *k);
void inherit_fork_child(struct inherit *k, bool is_prepared);

#endif
