#include "common/server/core/forks.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/crypto/random.h"
#include "common/wire/protocol.h"

static int
compare(struct pending_fork *a, struct pending_fork *b)
{
	return a->ident < b->ident ? -1 : a->ident > b->ident;
}

RB_PROTOTYPE(fork_tree, pending_fork, link, compare)
RB_GENERATE(fork_tree, pending_fork, link, compare)

void
forks_init(struct forks *f, bool separates_versions, struct timer_queue *timers,
    const uint64_t *now)
{
	*f = (struct forks){ .separates_versions = separates_versions,
		.timers = timers,
		.now = now };
	RB_INIT(&f->tree);
}

/* Removes p from the tree and from its parent. The caller disposes of its table. */
static void
detach(struct pending_fork *p)
{
	RB_REMOVE(fork_tree, &p->forks->tree, p);
	timer_disarm(p->forks->timers, &p->expiry);
	if (p->parent != NULL) {
		TAILQ_REMOVE(&p->parent->list, p, parent_link);
		p->parent->count--;
	}
}

static void
destroy(struct pending_fork *p)
{
	detach(p);
	fdtable_fini(&p->table);
	free(p);
}

void
forks_fini(struct forks *f)
{
	struct pending_fork *p;

	while ((p = RB_MIN(fork_tree, &f->tree)) != NULL)
		destroy(p);
}

static void
expire(struct timer *t)
{
	destroy(container_of(t, struct pending_fork, expiry));
}

void
forks_parent_init(struct fork_parent *parent)
{
	TAILQ_INIT(&parent->list);
	parent->count = 0;
}

void
forks_parent_fini(struct forks *f, struct fork_parent *parent)
{
	struct pending_fork *p;

	while ((p = TAILQ_FIRST(&parent->list)) != NULL) {
		TAILQ_REMOVE(&parent->list, p, parent_link);
		p->parent = NULL;
		timer_arm(f->timers, &p->expiry, clock_after_ms(*f->now, PROTOCOL_FORK_GRACE_MS),
		    expire);
	}
	parent->count = 0;
}

/*
 * Draws an ident for p and inserts p into the tree; draws again while another fork has that ident.
 */
static int
insert(struct forks *f, struct pending_fork *p)
{
	int error;

	do
		error = random_u64(&p->ident);
	while (error == 0 && RB_INSERT(fork_tree, &f->tree, p) != NULL);
	return error;
}

int
forks_create(struct forks *f, struct fork_parent *parent, const struct fdtable *table,
    enum protocol_version version, uint64_t *ident)
{
	struct pending_fork *p;
	int error;

	if (parent->count >= PROTOCOL_FORKS_MOST)
		return -EMFILE;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return -ENOMEM;
	p->forks = f;
	p->parent = parent;
	p->version = version;
	error = fdtable_copy(&p->table, table);
	if (error == 0)
		error = insert(f, p);
	if (error != 0) {
		fdtable_fini(&p->table);
		free(p);
		return error;
	}
	TAILQ_INSERT_TAIL(&parent->list, p, parent_link);
	parent->count++;
	*ident = p->ident;
	return 0;
}

int
forks_take(struct forks *f, uint64_t ident, enum protocol_version version, struct fdtable *out)
{
	struct pending_fork key = { .ident = ident };
	struct pending_fork *p = RB_FIND(fork_tree, &f->tree, &key);

	if (p == NULL || (f->separates_versions && p->version != version))
		return -EINVAL;
	detach(p);
	*out = p->table;
	free(p);
	return 0;
}
