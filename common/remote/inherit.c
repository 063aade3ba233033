#include "common/remote/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/highfd.h"
#include "common/base/mutex.h"
#include "common/base/testpoint.h"
#include "common/client/forkhooks.h"
#include "common/host/ownfd.h"
#include "common/remote/mux.h"
#include "common/wire/protocol.h"

enum {
	RECLAIM_COUNT = 32, /* orphans that are reclaimed together */
	RECLAIM_MS = 1000,  /* at the end of a connection */
	COPIES_LEAST = 8
};

void
inherit_init(struct inherit *k, const struct dial_target *target)
{
	*k = (struct inherit){ .target = target, .pipe = { OWNFD_CLOSED, OWNFD_CLOSED } };
	(void)pthread_mutex_init(&k->attaching, NULL);
	(void)pthread_mutex_init(&k->mutex, NULL);
}

static void
close_pipe(struct inherit *k)
{
	ownfd_close(&k->pipe[0]);
	ownfd_close(&k->pipe[1]);
}

static void
free_copies(struct inherit *k)
{
	while (k->count > 0)
		ownfd_close(&k->copies[--k->count].child_end);
	free(k->copies);
	k->copies = NULL;
	k->room = 0;
}

static bool
is_attaching_over(const struct inherit *k, const struct mux *mux)
{
	return standing_is_sent(&k->attach) && k->attach.mux == mux;
}

static void
drop(struct mux **mux)
{
	mux_destroy(*mux);
	*mux = NULL;
}

/* drop(), where another process may go on with a CHILD_ATTACH that was sent over *mux. */
static void
drop_own_end(struct inherit *k, struct mux **mux)
{
	if (is_attaching_over(k, *mux)) {
		standing_forget(&k->attach);
		mux_leave_to_other(*mux);
	}
	drop(mux);
}

void
inherit_fini(struct inherit *k)
{
	standing_end(&k->attach);
	drop(&k->first_mux);
	close_pipe(k);
	free_copies(k);
	(void)pthread_mutex_destroy(&k->attaching);
	(void)pthread_mutex_destroy(&k->mutex);
}

static void
put_attach(struct mux *mux, struct mux_call *c, uint64_t ident)
{
	mux_begin_call(mux, c, OP_CHILD_ATTACH, 8, 0);
	mux_put_u64(mux, ident);
}

/* In the parent: CHILD_ATTACH over mux, with its answer. */
static int
attach(struct mux *mux, uint64_t ident, uint64_t until)
{
	struct mux_limit limit = mux_limit_exact(until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return error;
	put_attach(mux, &c, ident);
	error = dial_exchange(mux, &c, 0, limit);
	mux_end_call(mux, &c);
	return error;
}

/* With the mutex: replaces the parent's connection by the child's. */
static void
take_over(struct mux **mux, struct dial_terms *terms, struct mux *new_mux,
    const struct dial_terms *new_terms)
{
	struct mux *old = *mux;

	*mux = new_mux;
	*terms = *new_terms;
	mux_destroy(old);
}

/*
 * The same. Returns false if there has been a fork since forkhooks_count() was forks: its child
 * does not know the new socket, but has inherited it.
 */
static bool
take_over_alone(struct inherit *k, struct mux **mux, struct dial_terms *terms, struct mux *new_mux,
    const struct dial_terms *new_terms, unsigned forks)
{
	bool is_ours;

	(void)pthread_mutex_lock(&k->mutex);
	is_ours = forkhooks_count() == forks;
	if (is_ours)
		take_over(mux, terms, new_mux, new_terms);
	(void)pthread_mutex_unlock(&k->mutex);
	return is_ours;
}

/* In the child, attaching. */
static int
connect_anew(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	struct dial_terms new_terms;
	struct mux *new_mux;
	unsigned forks;
	int error;

	for (;;) {
		forks = forkhooks_count();
		error = dial_connect(k->target, &new_mux, &new_terms, until);
		if (error != 0)
			return error;
		if (take_over_alone(k, mux, terms, new_mux, &new_terms, forks))
			return 0;
		dial_end(new_mux);
	}
}

/* Sends CHILD_ATTACH, which outlives the caller's patience. */
static int
send_attach(struct inherit *k, struct mux *mux, uint64_t until)
{
	int error = standing_begin(&k->attach, mux, until, k->target->silence);

	if (error != 0)
		return error;
	put_attach(mux, &k->attach.call, k->ident);
	standing_send(&k->attach);
	return 0;
}

/* In the child, attaching: connects, and sends CHILD_ATTACH. */
static int
begin_attach(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	int error;

	if (!k->has_ident)
		return error_message(-ESTALE, "%s: this forked child has inherited no descriptors",
		    k->target->addr->text);
	error = connect_anew(k, mux, terms, until);
	if (error != 0)
		return error;
	error = send_attach(k, *mux, until);
	return error == 0 ? 0 : dial_fail(k->target, *mux, error);
}

/* With the mutex, in the child: there is no copy that it could attach to, or it has. */
static void
forget_ident(struct inherit *k)
{
	k->has_ident = false;
	ownfd_close(&k->pipe[1]);
}

/*
 * In the child, attaching: waits for the answer to CHILD_ATTACH. After any other failure than
 * EINVAL the ident may be good still.
 */
static int
end_attach(struct inherit *k, struct mux *mux, uint64_t until)
{
	const char *address = k->target->addr->text;
	int error = standing_wait(&k->attach, 0, until);

	if (standing_is_sent(&k->attach))
		return error_message(error,
		    "%s: no answer yet to this child, which attaches to what it inherited",
		    address);
	mux_end_call(mux, &k->attach.call);
	if (error == 0 || error == -EINVAL) {
		(void)pthread_mutex_lock(&k->mutex);
		forget_ident(k);
		(void)pthread_mutex_unlock(&k->mutex);
	}
	if (error == -EINVAL)
		return error_message(-ESTALE,
		    "%s: the server no longer has what this child inherited", address);
	if (error != 0)
		return error_message(error, "%s: this child cannot attach to what it inherited",
		    address);
	return 0;
}

/* In the child, attaching: goes on where the last call gave up. */
static int
attach_to_copy(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	int error = 0;

	if (!standing_is_sent(&k->attach))
		error = begin_attach(k, mux, terms, until);
	return error != 0 ? error : end_attach(k, *mux, until);
}

/* In the child, attaching: connects, to open all files anew. */
static int
begin_table(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	int error = connect_anew(k, mux, terms, until);

	if (error != 0)
		return error;
	error = dial_new_table(*mux, until);
	if (error != 0)
		return dial_fail(k->target, *mux, error);
	k->table++;
	return 0;
}

/*
 * Takes over the connection that the parent has made, with a CHILD_ATTACH that has no answer yet,
 * unless the program has closed it.
 */
static bool
take_over_first(struct inherit *k, struct mux **mux, struct dial_terms *terms)
{
	bool has_taken = false;

	(void)pthread_mutex_lock(&k->mutex);
	if (k->first_mux != NULL && mux_is_intact(k->first_mux)) {
		take_over(mux, terms, k->first_mux, &k->child_terms);
		k->first_mux = NULL;
		has_taken = true;
		if (standing_is_sent(&k->attach))
			standing_renew(&k->attach, k->target->silence);
	} else if (k->first_mux != NULL) {
		drop_own_end(k, &k->first_mux);
		forget_ident(k);
		k->has_lost = true;
	}
	(void)pthread_mutex_unlock(&k->mutex);
	return has_taken;
}

/* In the child, attaching. */
static int
leave_parent(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	bool has_taken = take_over_first(k, mux, terms);

	/* The parent has told its own. */
	if (has_taken && terms->has_extensions)
		dial_tell_process(*mux, until);
	if (has_taken && !standing_is_sent(&k->attach))
		return 0;
	return k->has_lost ? begin_table(k, mux, terms, until) :
			     attach_to_copy(k, mux, terms, until);
}

int
inherit_attach(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	int error = 0;

	if (!atomic_load_explicit(&k->is_inherited, memory_order_acquire))
		return 0;
	if (!mutex_lock_until(&k->attaching, until))
		return error_message(-ETIMEDOUT, "%s: another thread is connecting",
		    k->target->addr->text);
	if (atomic_load(&k->is_inherited)) {
		error = leave_parent(k, mux, terms, until);
		if (error == 0)
			atomic_store_explicit(&k->is_inherited, false, memory_order_release);
	}
	(void)pthread_mutex_unlock(&k->attaching);
	return error;
}

static void
find_out_orphan(struct inherit_copy *c)
{
	struct pollfd p = { .fd = c->child_end.fd, .events = POLLIN };

	if (c->is_orphan || !ownfd_is_intact(&c->child_end) || poll(&p, 1, 0) != 1)
		return;
	c->is_orphan = true;
	ownfd_close(&c->child_end);
}

/* Finds new orphans; returns how many there are now. */
static size_t
count_orphans(struct inherit *k)
{
	size_t i, count = 0;

	for (i = 0; i < k->count; i++) {
		find_out_orphan(&k->copies[i]);
		count += k->copies[i].is_orphan;
	}
	return count;
}

/* The server has room for no other copy: whatever child is not known to live loses its own. */
static void
take_unknown_for_orphans(struct inherit *k)
{
	size_t i;

	for (i = 0; i < k->count; i++)
		if (!ownfd_is_intact(&k->copies[i].child_end))
			k->copies[i].is_orphan = true;
}

static void
forget(struct inherit *k, size_t i)
{
	(void)pthread_mutex_lock(&k->mutex);
	k->copies[i] = k->copies[--k->count];
	(void)pthread_mutex_unlock(&k->mutex);
}

/*
 * Attaches to the orphans, and drops them with the connection. A later call tries again after a
 * failure.
 */
static void
reclaim(struct inherit *k, uint64_t until)
{
	struct dial_terms terms; /* not kept: this may be another server by now */
	struct mux *mux;
	size_t i = 0;
	int error;

	if (dial_connect(k->target, &mux, &terms, until) != 0)
		return;
	while (i < k->count) {
		if (!k->copies[i].is_orphan) {
			i++;
			continue;
		}
		error = attach(mux, k->copies[i].ident, until);
		/* EINVAL: its child had attached after all, and ended. */
		if (error != 0 && error != -EINVAL)
			break;
		forget(k, i);
	}
	dial_end(mux);
}

void
inherit_reclaim(struct inherit *k)
{
	if (!atomic_load(&k->is_inherited) && count_orphans(k) > 0)
		reclaim(k, clock_after_ms(clock_now(), RECLAIM_MS));
}

/* Room for one copy more. */
static bool
reserve(struct inherit *k)
{
	size_t room = k->room == 0 ? COPIES_LEAST : 2 * k->room;
	struct inherit_copy *grown;

	if (k->count < k->room)
		return true;
	grown = reallocarray(k->copies, room, sizeof *grown);
	if (grown == NULL)
		return false;
	k->copies = grown;
	k->room = room;
	return true;
}

/*
 * FORK: *ident is good for one child. A server that does not answer until then costs the child its
 * files, and the parent nothing, or with version 1 the connection.
 */
static int
request_copy(struct mux *mux, uint64_t *ident, uint64_t until)
{
	struct mux_call c;
	int error = mux_become_quick_sender(mux, until, mux_limit(mux, until));

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_FORK, 0, 8);
	error = dial_exchange_in_time(mux, &c, 8, until);
	if (error == 0)
		*ident = wire_get_u64(&c.reply);
	mux_end_call(mux, &c);
	return error;
}

/* Gets a copy for the child. Returns false when the server gives none. */
static bool
get_copy(struct inherit *k, struct mux *mux, uint64_t until)
{
	size_t orphans = count_orphans(k);
	int error;

	if (mux_has_ended(mux))
		return false;
	if (orphans >= RECLAIM_COUNT)
		reclaim(k, until);
	error = request_copy(mux, &k->ident, until);
	if (error == -EMFILE) {
		take_unknown_for_orphans(k);
		reclaim(k, until);
		error = request_copy(mux, &k->ident, until);
	}
	return error == 0;
}

/*
 * Makes the child's connection, and attaches it to the copy. Without an answer in time the child
 * waits for it, over that connection: the ident may be used up. Returns false when the copy can, or
 * may, still be attached to.
 */
static bool
attach_child(struct inherit *k, uint64_t until)
{
	struct mux *mux;
	int error = dial_connect(k->target, &mux, &k->child_terms, until);

	if (error != 0)
		return false;
	testpoint_reach("inherit: connected");
	error = send_attach(k, mux, until);
	if (error == 0) {
		error = standing_wait(&k->attach, 0, until);
		if (!standing_is_sent(&k->attach))
			mux_end_call(mux, &k->attach.call);
	}
	if (error == 0 || standing_is_sent(&k->attach))
		k->child_mux = mux;
	else
		mux_destroy(mux);
	/* EINVAL: the server no longer has the copy. */
	return error == 0 || error == -EINVAL;
}

/*
 * The child will connect: remembers its copy. Where the process has no descriptors left there is no
 * pipe, and the parent never knows whether that child lives.
 */
static void
leave_to_child(struct inherit *k)
{
	int fds[2], i;

	k->is_ready = reserve(k);
	if (!k->is_ready || pipe2(fds, O_CLOEXEC) != 0 || highfd_pair(fds) != 0)
		return;
	for (i = 0; i < 2; i++)
		k->pipe[i] = ownfd_of(fds[i]);
}

bool
inherit_fork_ready(struct inherit *k, struct mux **mux, struct dial_terms *terms, uint64_t until)
{
	int error;

	k->is_ready = false;
	/* A child that forks before its first call has no connection to send FORK on. */
	error = inherit_attach(k, mux, terms, until);
	k->is_held = error == 0 && mutex_lock_until(&k->attaching, until);
	if (k->is_held && get_copy(k, *mux, until) && !attach_child(k, until))
		leave_to_child(k);
	/* After ESTALE no thread tries to attach any more. */
	return error == 0 || error == -ESTALE;
}

void
inherit_fork_cancel(struct inherit *k)
{
	drop_own_end(k, &k->child_mux);
	if (k->is_held)
		(void)pthread_mutex_unlock(&k->attaching);
	k->is_held = false;
	if (!k->is_ready)
		return;
	k->is_ready = false;
	k->copies[k->count++] = (struct inherit_copy){ .ident = k->ident, .child_end = k->pipe[0] };
	k->pipe[0] = OWNFD_CLOSED;
	close_pipe(k);
}

void
inherit_fork_prepare(struct inherit *k)
{
	(void)pthread_mutex_lock(&k->mutex);
}

void
inherit_fork_parent(struct inherit *k)
{
	inherit_fork_cancel(k);
	(void)pthread_mutex_unlock(&k->mutex);
}

void
inherit_fork_child(struct inherit *k, bool is_prepared)
{
	/* Without prepare another thread may be in ready, or attaching. */
	if (is_prepared)
		drop_own_end(k, &k->first_mux);
	k->first_mux = is_prepared ? k->child_mux : NULL;
	k->child_mux = NULL;
	k->has_lost = false;
	ownfd_close(&k->pipe[0]);
	if (!is_attaching_over(k, k->first_mux))
		standing_forget(&k->attach);
	k->has_ident = is_prepared && k->is_ready;
	k->is_ready = false;
	if (!k->has_ident)
		ownfd_close(&k->pipe[1]);
	free_copies(k);
	k->epoch++;
	mutex_fork_child(&k->attaching, is_prepared && k->is_held);
	k->is_held = false;
	mutex_fork_child(&k->mutex, is_prepared);
	atomic_store(&k->is_inherited, true);
}
