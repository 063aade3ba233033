#include "common/server/core/forks.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/crypto/random.h"
#include "common/server/core/core.h"

static int
compare(struct pending_fork *a, struct pending_fork *b)
{
	return a->ident < b->ident ? -1 : a->ident > b->ident;
}

RB_PROTOTYPE(fork_tree, pending_fork, link, compare)
RB_GENERATE(fork_tree, pending_fork, link, compare)

/* Takes it out of the tree and away from its parent; its table is the caller's business. */
static void
detach(struct pending_fork *p)
{
	RB_REMOVE(fork_tree, &p->server->forks, p);
	timer_disarm(&p->server->timers, &p->expiry);
	if (p->parent != NULL) {
		TAILQ_REMOVE(&p->parent->forks, p, parent_link);
		p->parent->fork_count--;
	}
}

static void
destroy(struct pending_fork *p)
{
	detach(p);
	fdtable_fini(&p->table);
	free(p);
}

static void
expire(struct timer *t)
{
	destroy(container_of(t, struct pending_fork, expiry));
}

int
forks_create(struct session *s, uint64_t *ident)
{
	struct pending_fork *p;
	int error;

	if (s->fork_count >= PROTOCOL_FORK_LIMIT)
		return -EMFILE;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return -ENOMEM;
	p->server = s->server;
	p->version = s->version;
	p->parent = s;
	error = fdtable_copy(&p->table, &s->table);
	/* An ident that is taken is as likely as a guessed one; draw again all the same. */
	do
		error = error != 0 ? error : random_u64(&p->ident);
	while (error == 0 && RB_INSERT(fork_tree, &s->server->forks, p) != NULL);
	if (error != 0) {
		fdtable_fini(&p->table);
		free(p);
		return error;
	}
	TAILQ_INSERT_TAIL(&s->forks, p, parent_link);
	s->fork_count++;
	*ident = p->ident;
	return 0;
}

int
forks_adopt(struct session *s, uint64_t ident, struct fdtable *out)
{
	struct server *v = s->server;
	struct pending_fork key = { .ident = ident };
	struct pending_fork *p = RB_FIND(fork_tree, &v->forks, &key);

	if (p == NULL || (v->store->separates_versions && p->version != s->version))
		return -EINVAL;
	detach(p);
	*out = p->table;
	free(p);
	return 0;
}

void
forks_orphan(struct session *s)
{
	struct server *v = s->server;
	struct pending_fork *p;

	while ((p = TAILQ_FIRST(&s->forks)) != NULL) {
		TAILQ_REMOVE(&s->forks, p, parent_link);
		p->parent = NULL;
		timer_arm(&v->timers, &p->expiry, clock_after_ms(v->now, FORKS_GRACE_MS), expire);
	}
	s->fork_count = 0;
}

void
forks_fini(struct server *v)
{
	struct pending_fork *p;

	while ((p = RB_MIN(fork_tree, &v->forks)) != NULL)
		destroy(p);
}
