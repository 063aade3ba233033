#include "common/server/core/forks.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/crypto/random.h"
#include "common/server/core/account.h"
#include "common/server/core/fdtable.h"
#include "common/server/core/snapshot.h"

static void expire(struct timer *t);
static void end_some(struct task *t, const struct budget *b);

static int
compare(struct pending_fork *a, struct pending_fork *b)
{
	return a->ident < b->ident ? -1 : a->ident > b->ident;
}

RB_PROTOTYPE(fork_tree, pending_fork, link, compare)
RB_GENERATE(fork_tree, pending_fork, link, compare)

void
forks_init(struct forks *f, bool separates_versions, struct timer_queue *timers,
    const uint64_t *now, struct schedule *schedule)
{
	*f = (struct forks){ .separates_versions = separates_versions,
		.timers = timers,
		.now = now,
		.schedule = schedule };
	RB_INIT(&f->tree);
	TAILQ_INIT(&f->graces);
}

/* Parents. */

/* Creates *out unless it is there. */
static int
get_parent(struct forks *f, struct account *account, enum protocol_version version,
    struct fork_parent **out)
{
	struct fork_parent *p;

	if (*out != NULL)
		return 0;
	if (account_take(account, ACCOUNT_MEMORY, sizeof *p) != 0)
		return -ENOMEM;
	p = calloc(1, sizeof *p);
	if (p == NULL) {
		account_give(account, ACCOUNT_MEMORY, sizeof *p);
		return -ENOMEM;
	}
	p->forks = f;
	p->account = account_ref(account);
	p->version = version;
	p->task.run = end_some;
	TAILQ_INIT(&p->list);
	*out = p;
	return 0;
}

/* Arms the timer for the first grace. */
static void
update_timer(struct forks *f)
{
	struct fork_parent *first = TAILQ_FIRST(&f->graces);

	timer_arm(f->timers, &f->expiry, first == NULL ? CLOCK_NEVER : first->deadline, expire);
}

/* Frees p when its session and its forks have ended. */
static void
free_if_done(struct fork_parent *p)
{
	struct forks *f = p->forks;

	if (p->state == FORK_PARENT_LIVES || p->count > 0)
		return;
	if (p->state == FORK_PARENT_IN_GRACE) {
		TAILQ_REMOVE(&f->graces, p, link);
		update_timer(f);
	}
	schedule_remove(f->schedule, &p->task);
	account_give(p->account, ACCOUNT_MEMORY, sizeof *p);
	account_put(p->account);
	free(p);
}

void
forks_parent_ended(struct fork_parent *p)
{
	struct forks *f;

	if (p == NULL)
		return;
	f = p->forks;
	p->state = FORK_PARENT_IN_GRACE;
	p->deadline = clock_after_ms(*f->now, PROTOCOL_FORK_GRACE_MS);
	TAILQ_INSERT_TAIL(&f->graces, p, link);
	update_timer(f);
	free_if_done(p);
}

/* The grace of p is over. */
static void
begin_to_end(struct fork_parent *p)
{
	struct forks *f = p->forks;

	TAILQ_REMOVE(&f->graces, p, link);
	p->state = FORK_PARENT_ENDS;
	schedule_add(f->schedule, &p->account->queues[SCHEDULE_SESSIONS], &p->task);
}

static void
expire(struct timer *t)
{
	struct forks *f = container_of(t, struct forks, expiry);
	struct fork_parent *p;

	while ((p = TAILQ_FIRST(&f->graces)) != NULL && p->deadline <= *f->now)
		begin_to_end(p);
	update_timer(f);
}

void
forks_end_graces(struct forks *f)
{
	struct fork_parent *p;

	while ((p = TAILQ_FIRST(&f->graces)) != NULL)
		begin_to_end(p);
	update_timer(f);
}

/* Pending forks. */

/* Allocates a pending fork, charged to the account of p. */
static int
create(struct fork_parent *p, struct pending_fork **out)
{
	struct pending_fork *k;

	if (account_take(p->account, ACCOUNT_FORKS, 1) != 0)
		return -EMFILE;
	if (account_take(p->account, ACCOUNT_MEMORY, sizeof *k) != 0)
		goto no_memory;
	k = calloc(1, sizeof *k);
	if (k == NULL) {
		account_give(p->account, ACCOUNT_MEMORY, sizeof *k);
		goto no_memory;
	}
	k->parent = p;
	*out = k;
	return 0;

no_memory:
	account_give(p->account, ACCOUNT_FORKS, 1);
	return -ENOMEM;
}

static void
discard(struct pending_fork *k)
{
	struct fork_parent *p = k->parent;

	free(k);
	account_give(p->account, ACCOUNT_MEMORY, sizeof *k);
	account_give(p->account, ACCOUNT_FORKS, 1);
}

/*
 * Draws an ident for k and inserts k into the tree; draws again while another fork has that ident.
 */
static int
insert(struct forks *f, struct pending_fork *k)
{
	int error;

	do
		error = random_u64(&k->ident);
	while (error == 0 && RB_INSERT(fork_tree, &f->tree, k) != NULL);
	return error;
}

/* Removes k and frees it. The caller has disposed of its snapshot. */
static void
detach(struct pending_fork *k)
{
	struct fork_parent *p = k->parent;

	RB_REMOVE(fork_tree, &p->forks->tree, k);
	TAILQ_REMOVE(&p->list, k, parent_link);
	p->count--;
	discard(k);
}

/* Adds a pending fork to p, with a reference to a snapshot of table. */
static int
add(struct fork_parent *p, const struct fdtable *table, uint64_t *ident)
{
	struct pending_fork *latest = TAILQ_LAST(&p->list, fork_list), *k;
	int error;

	error = create(p, &k);
	if (error != 0)
		return error;
	error = snapshot_get(latest == NULL ? NULL : latest->snapshot, table, &k->snapshot);
	if (error == 0) {
		error = insert(p->forks, k);
		if (error != 0)
			snapshot_put(k->snapshot);
	}
	if (error != 0) {
		discard(k);
		return error;
	}
	TAILQ_INSERT_TAIL(&p->list, k, parent_link);
	p->count++;
	*ident = k->ident;
	return 0;
}

int
forks_create(struct forks *f, struct fork_parent **parent, const struct fdtable *table,
    enum protocol_version version, uint64_t *ident)
{
	int error = get_parent(f, table->account, version, parent);

	if (error != 0)
		return error;
	if ((*parent)->count >= PROTOCOL_FORKS_MOST)
		return -EMFILE;
	return add(*parent, table, ident);
}

static struct pending_fork *
find(struct forks *f, uint64_t ident)
{
	struct pending_fork key = { .ident = ident };

	return RB_FIND(fork_tree, &f->tree, &key);
}

static void
end(struct pending_fork *k)
{
	snapshot_put(k->snapshot);
	detach(k);
}

void
forks_cancel(struct forks *f, uint64_t ident)
{
	struct pending_fork *k = find(f, ident);

	assert(k != NULL);
	end(k);
}

static void
end_some(struct task *t, const struct budget *b)
{
	struct fork_parent *p = container_of(t, struct fork_parent, task);

	do
		end(TAILQ_FIRST(&p->list));
	while (p->count > 0 && !budget_is_spent(b));
	if (p->count > 0)
		schedule_add(p->forks->schedule, &p->account->queues[SCHEDULE_SESSIONS], t);
	else
		free_if_done(p);
}

int
forks_take(struct forks *f, uint64_t ident, enum protocol_version version, struct session *session,
    struct fdtable *out)
{
	struct pending_fork *k = find(f, ident);
	struct fork_parent *p;
	int error;

	if (k == NULL || (f->separates_versions && k->parent->version != version))
		return -EINVAL;
	error = snapshot_restore(k->snapshot, session, out);
	if (error != 0)
		return error;
	p = k->parent;
	detach(k);
	free_if_done(p);
	return 0;
}
