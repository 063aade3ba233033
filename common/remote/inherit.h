/*
 * inherit: the descriptors of a connection that a forked child inherits.
 *
 * Parent and child both go on with all they had open, each over a connection of its own. Before the
 * fork the parent asks the server for a copy of its descriptors (FORK), makes a connection for the
 * child, and attaches it to the copy (CHILD_ATTACH). After the fork the child has that connection
 * alone: the parent closes its socket, and the child that of the parent, both without sending a
 * byte (a TLS shutdown would use up a record number of the other). So the server notices at once
 * when the child ends or execs, and a child that has given up its privileges need not connect. The
 * numbers of the descriptors stay the same.
 *
 * If the server gives a copy but takes no connection in time, the child connects and attaches at
 * its first call. One that gives up meanwhile leaves the attaching to the next: an ident is good
 * once, so nothing is sent again before the answer. For the same reason a child whose parent had
 * no answer to its CHILD_ATTACH in time gets the connection, and waits there.
 *
 * When such a child never calls, its copy stays at the server, which keeps few of them. So it holds
 * one end of a pipe until it has attached, execs, or ends. The copy is then an *orphan*, which the
 * parent finds at a later fork. When there are many orphans the parent reclaims them: it attaches
 * to them over a connection that it then closes. A copy without a pipe, because the process had no
 * descriptor left, or the program has closed it, counts as an orphan only when the server gives no
 * further copy.
 *
 * A child whose program closes the connection before the first call (closefrom(3)) connects with an
 * empty *table* of descriptors: each file is to be opened anew.
 *
 * All functions except inherit_attach() are called with the mount's mutex, those of fork(2) but for
 * ready and cancel with that of its lists.
 */
#ifndef COMMON_REMOTE_INHERIT_H
#define COMMON_REMOTE_INHERIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/host/ownfd.h"
#include "common/remote/dial.h"
#include "common/remote/standing.h"

struct mux;

/* A copy that a child without a connection may attach to, in the parent. */
struct inherit_copy {
	uint64_t ident;
	struct ownfd child_end; /* reads end of file when the copy is an orphan; may be closed */
	bool is_orphan;
};

struct inherit {
	const struct dial_target *target; /* the caller's */

	/*
	 * Guards what follows, beside the mount's mutex and attaching. A thread that has it does
	 * not wait, so fork(2) always gets it.
	 */
	pthread_mutex_t mutex;

	/* In the parent. */
	struct inherit_copy *copies;
	size_t count; /* of copies */
	size_t room;

	/* Between ready and parent or child. */
	struct mux *child_mux; /* the child's connection; NULL: there is none */
	struct dial_terms child_terms;
	bool is_ready;        /* there is a copy for a child that will connect */
	struct ownfd pipe[2]; /* closed when there is none */

	/* In the child, until its first call. */
	struct mux *first_mux; /* its connection, of child_terms; NULL: it is still to connect */
	bool has_lost;         /* the program has closed it */

	/* In the child, and in ready; attach also in the parent from ready to parent or cancel. */
	bool has_ident; /* of a copy that no process is known to have attached to */
	uint64_t ident;
	struct standing attach;   /* CHILD_ATTACH, to be answered */
	atomic_bool is_inherited; /* the connection is the parent's: attach before the first call */
	/*
	 * While a thread attaches, or registers a file anew after it; and from ready on during a
	 * fork, so that the child finds open what its copy has.
	 */
	pthread_mutex_t attaching;
	bool is_held;      /* by the thread that forks */
	unsigned epoch;    /* counts the forks that led to this process */
	atomic_uint table; /* of descriptors: the one that the connection has, counted from 0 */
};

void inherit_init(struct inherit *k, const struct dial_target *target);

/* Closes and frees; the connection ends. */
void inherit_fini(struct inherit *k);

/*
 * Before every use of *mux: in a forked child's first call, replaces it and *terms by the child's
 * own, and connects, until that time, if the parent has not. Returns 0, -ESTALE (the copy is gone,
 * or there was none), or see dial_connect(); with words. After any other failure the next call goes
 * on.
 */
int inherit_attach(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until);

/*
 * The connection, which lives, is going to be closed: reclaims the orphans, so that files do not
 * outlive the processes that had them open.
 */
void inherit_reclaim(struct inherit *k);

/*
 * For fork(2), before the functions of mux. ready speaks to the server, until that time: attaches
 * first, if need be, and gets a copy and a connection for the child; without a copy, or when it was
 * not called, the child will get -ESTALE. Returns false when it could not attach: another thread
 * may, until prepare. cancel undoes ready. is_prepared false: prepare was not called.
 */
bool inherit_fork_ready(struct inherit *k, struct mux **mux, struct dial_terms *terms,
    uint64_t until);

/* After ready: the child has a connection. */
static inline bool
inherit_has_connected(const struct inherit *k)
{
	return k->child_mux != NULL;
}

void inherit_fork_cancel(struct inherit *k);
void inherit_fork_prepare(struct inherit *k);
void inherit_fork_parent(struct inherit *k);
void inherit_fork_child(struct inherit *k, bool is_prepared);

#endif
