/*
 * visits: when lock files on the host are read or written: first come first served, as many in a
 * turn as its budget allows.
 *
 * Many files may be due at one moment. The work is a task of a queue of the store's own: all
 * mirrors and all checks of turns together have as many turns of the server as one peer has.
 */
#ifndef SMUF_VISITS_H
#define SMUF_VISITS_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/schedule.h"

struct memfile_tree;

/* Of a file; embedded. All zeros: not in a list. */
struct visit {
	TAILQ_ENTRY(visit) link;
	bool is_listed;
	uint64_t due; /* nanoseconds */
};

TAILQ_HEAD(visit_list, visit);

struct visits {
	struct visit_list list;    /* due does not descend in it */
	struct memfile_tree *tree; /* of the files; set with the first */
	struct timer timer;        /* for the first of the list */
	struct task task;
	struct schedule_queue *queue;
	void (*visit)(struct visit *);
};

/* No files. visit() is called for each that was added, when it is due; it may add it again. */
void visits_init(struct visits *v, struct schedule_queue *queue, void (*visit)(struct visit *));

/*
 * Adds e, a file of tree, to be visited in ms milliseconds, the same for all files of v. Does
 * nothing when e is in the list already.
 */
void visits_add(struct visits *v, struct memfile_tree *tree, struct visit *e, uint64_t ms);

/* Takes e out, if it is in the list. */
void visits_remove(struct visits *v, struct visit *e);

#endif
