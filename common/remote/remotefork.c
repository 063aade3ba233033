#include "common/remote/remotefork.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/remote/remote.h"

enum {
	RECLAIM_COUNT = 32, /* copies without a child that are given back together */
	COPIES_LEAST = 8
};

void
remotefork_init(struct remotefork *k)
{
	*k = (struct remotefork){ .pipe = { -1, -1 } };
	(void)pthread_mutex_init(&k->mutex, NULL);
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void
close_pipe(struct remotefork *k)
{
	close_fd(&k->pipe[0]);
	close_fd(&k->pipe[1]);
}

static void
forget_copies(struct remotefork *k)
{
	while (k->count > 0)
		close_fd(&k->copies[--k->count].child_fd);
	free(k->copies);
	k->copies = NULL;
	k->room = 0;
}

void
remotefork_fini(struct remotefork *k)
{
	close_pipe(k);
	forget_copies(k);
	(void)pthread_mutex_destroy(&k->mutex);
}

/* CHILD_ATTACH over mux. */
static int
attach(struct mux *mux, uint64_t ident)
{
	struct mux_call c;
	int error = mux_become_sender(mux, CLOCK_NEVER);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_CHILD_ATTACH, 8, 0);
	mux_put_u64(mux, ident);
	error = mux_send(mux);
	if (error == 0)
		error = mux_wait(mux, &c, CLOCK_NEVER);
	mux_end_call(mux, &c);
	return error;
}

/* In the child, with the mutex: connects and adopts what the parent left. */
static int
become_own(struct remote *r)
{
	struct remotefork *k = &r->fork;
	struct dial_terms terms;
	struct mux *mux;
	int error;

	if (!k->has_ident)
		return error_message(-ESTALE, "%s: this forked child has nothing to go on with",
		    r->target.addr->text);
	error = dial_connect(&r->target, &mux, &terms);
	if (error != 0)
		return error;
	error = attach(mux, k->ident);
	/* Good once: whatever came of it, there is no second time. */
	k->has_ident = false;
	close_fd(&k->pipe[1]);
	if (error == 0) {
		mux_set_deadline(mux, CLOCK_NEVER);
		mux_destroy(r->mux);
		r->mux = mux;
		r->terms = terms;
		return 0;
	}
	mux_destroy(mux);
	if (error == -EINVAL)
		return error_message(-ESTALE,
		    "%s: the server no longer has what this child inherited", r->target.addr->text);
	return error_message(error, "%s: the server does not let this child go on",
	    r->target.addr->text);
}

int
remotefork_enter(struct remote *r)
{
	struct remotefork *k = &r->fork;
	int error = 0;

	if (!atomic_load_explicit(&k->is_inherited, memory_order_acquire))
		return 0;
	(void)pthread_mutex_lock(&k->mutex);
	if (atomic_load(&k->is_inherited)) {
		error = become_own(r);
		if (error == 0)
			atomic_store_explicit(&k->is_inherited, false, memory_order_release);
	}
	(void)pthread_mutex_unlock(&k->mutex);
	return error;
}

/* Finds the children that are done; returns how many copies have none now. */
static size_t
look_after_children(struct remotefork *k)
{
	size_t i, idle = 0;

	for (i = 0; i < k->count; i++) {
		struct pollfd p = { .fd = k->copies[i].child_fd, .events = POLLIN };

		if (p.fd >= 0 && poll(&p, 1, 0) == 1)
			close_fd(&k->copies[i].child_fd);
		idle += k->copies[i].child_fd < 0;
	}
	return idle;
}

/* Adopts what no child will adopt, and drops it with the connection. What fails is tried again later. */
static void
reclaim(struct remote *r)
{
	struct remotefork *k = &r->fork;
	struct dial_terms terms; /* not r's: it may be another server by now */
	struct mux *mux;
	size_t i = 0;
	int error;

	if (dial_connect(&r->target, &mux, &terms) != 0)
		return;
	while (i < k->count) {
		if (k->copies[i].child_fd >= 0) {
			i++;
			continue;
		}
		error = attach(mux, k->copies[i].ident);
		/* EINVAL: its child had adopted it after all, and ended. */
		if (error != 0 && error != -EINVAL)
			break;
		k->copies[i] = k->copies[--k->count];
	}
	mux_destroy(mux);
}

void
remotefork_settle(struct remote *r)
{
	if (!atomic_load(&r->fork.is_inherited) && !mux_has_ended(r->mux) &&
	    look_after_children(&r->fork) > 0)
		reclaim(r);
}

/* Room for one copy more. */
static bool
reserve(struct remotefork *k)
{
	size_t room = k->room == 0 ? COPIES_LEAST : 2 * k->room;
	struct remotefork_copy *grown;

	if (k->count < k->room)
		return true;
	grown = reallocarray(k->copies, room, sizeof *grown);
	if (grown == NULL)
		return false;
	k->copies = grown;
	k->room = room;
	return true;
}

/* FORK: *ident is good for one child. */
static int
ask_fork(struct remote *r, uint64_t *ident)
{
	struct mux_call c;
	int error = mux_become_sender(r->mux, CLOCK_NEVER);

	if (error != 0)
		return error;
	mux_begin_call(r->mux, &c, OP_FORK, 0, 8);
	error = dial_exchange(r->mux, &c, 8);
	if (error == 0)
		*ident = wire_get_u64(&c.reply);
	mux_end_call(r->mux, &c);
	return error;
}

/* Gets a copy for the child. Without one it will get ESTALE. */
static void
prepare(struct remote *r)
{
	struct remotefork *k = &r->fork;
	size_t idle = look_after_children(k);
	int error;

	k->is_ready = false;
	/* A child that forks before its first call has to become somebody first. */
	if (remotefork_enter(r) != 0 || mux_has_ended(r->mux) || !reserve(k) ||
	    pipe2(k->pipe, O_CLOEXEC) != 0)
		return;
	if (idle >= RECLAIM_COUNT)
		reclaim(r);
	error = ask_fork(r, &k->ident);
	if (error == -EMFILE) {
		reclaim(r);
		error = ask_fork(r, &k->ident);
	}
	k->is_ready = error == 0;
	if (!k->is_ready)
		close_pipe(k);
}

void
remotefork_prepare(struct mount *m)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link)
		prepare(r);
	TAILQ_FOREACH(r, &rm->remotes, link)
		mux_fork_prepare(r->mux);
}

void
remotefork_parent(struct mount *m)
{
	struct remote_mount *rm = m->backend_state;
	struct remotefork *k;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link) {
		k = &r->fork;
		mux_fork_parent(r->mux);
		if (!k->is_ready)
			continue;
		k->copies[k->count++] = (struct remotefork_copy){ .ident = k->ident,
			.child_fd = k->pipe[0] };
		k->pipe[0] = -1;
		close_pipe(k);
	}
}

void
remotefork_child(struct mount *m, bool is_prepared)
{
	struct remote_mount *rm = m->backend_state;
	struct remotefork *k;
	struct remote *r;

	TAILQ_FOREACH(r, &rm->remotes, link) {
		k = &r->fork;
		mux_fork_child(r->mux, is_prepared);
		close_fd(&k->pipe[0]);
		k->has_ident = is_prepared && k->is_ready;
		if (!k->has_ident)
			close_fd(&k->pipe[1]);
		forget_copies(k);
		k->epoch++;
		(void)pthread_mutex_init(&k->mutex, NULL);
		atomic_store(&k->is_inherited, true);
	}
}
