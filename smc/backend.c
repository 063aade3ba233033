#include "smc/backend_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/client/file.h"
#include "common/client/mount.h"
#include "common/client/replica.h"
#include "common/client/smclient.h"
#include "common/host/filename.h"
#include "smc/commit.h"

/* See lockfile_fork_attach(); any thread may be the first. */
static int
attach(struct smc_file *f)
{
	int error;

	if (!atomic_load(&f->lockfile.is_inherited))
		return 0;
	(void)pthread_mutex_lock(&f->attaching);
	error = lockfile_fork_attach(&f->lockfile, &f->mutex);
	(void)pthread_mutex_unlock(&f->attaching);
	return error;
}

static int
configure(struct mount *m, const char *uri)
{
	return mount_set_directory(m, uri);
}

static void
detach(struct mount *m)
{
	(void)m;
}

static int
open_file(struct backend_file **out, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name, int flags, uint64_t until)
{
	struct smc_file *f;
	int error = filename_check(name, strlen(name));

	(void)tls;
	(void)until;
	if (error != 0)
		return error;
	f = calloc(1, sizeof *f);
	if (f == NULL)
		return -ENOMEM;
	f->base = (struct backend_file){ .ops = &smc_backend, .replica = replica };
	f->mount = m;
	(void)pthread_mutex_init(&f->mutex, NULL);
	(void)pthread_mutex_init(&f->attaching, NULL);
	error = lockfile_open(&f->lockfile, m->directory, name + 1, m->locks, flags);
	if (error != 0) {
		(void)pthread_mutex_destroy(&f->mutex);
		(void)pthread_mutex_destroy(&f->attaching);
		free(f);
		return error;
	}
	*out = &f->base;
	return 0;
}

static int
close_file(struct backend_file *base, uint64_t until)
{
	struct smc_file *f = smc_file(base);

	(void)until;
	segment_close(f->segment);
	lockfile_close(&f->lockfile);
	(void)pthread_mutex_destroy(&f->mutex);
	(void)pthread_mutex_destroy(&f->attaching);
	explicit_bzero(f, sizeof *f);
	free(f);
	return 0;
}

/* With the local lock or the mutex. */
static bool
has_segment(const struct smc_file *f)
{
	return f->segment != NULL && slotfile_is_intact(&f->segment->file);
}

/* A mapping that a fork came into the middle of has no segment in the child. */
static bool
has_descriptors(struct smc_file *f)
{
	bool is_mapped, is_whole;

	(void)pthread_mutex_lock(&f->mutex);
	is_mapped = f->segment != NULL || replica_is_mapped(f->base.replica);
	is_whole = !is_mapped || has_segment(f);
	(void)pthread_mutex_unlock(&f->mutex);
	return is_whole && hostfile_is_intact(&f->lockfile.file);
}

static bool
is_alive(struct backend_file *base, uint64_t until)
{
	struct smc_file *f = smc_file(base);

	(void)until;
	return attach(f) == 0 && has_descriptors(f);
}

static int
map(struct backend_file *base, uint32_t size, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	int error = attach(f);

	(void)until;
	return error == 0 ? backend_map(f, size) : error;
}

/* Critical sections. */

/* With the turn: brings a replica that is mapped up to date; after a failure it is void. */
static int
refresh(struct smc_file *f)
{
	struct replica *replica = f->base.replica;
	uint64_t committed;
	int error;

	if (!replica_is_mapped(replica))
		return 0;
	committed = atomic_load(&f->lockfile.untrusted_head->committed);
	if (committed == replica_since(replica) && committed != 0)
		return 0;
	error = has_segment(f) ? segment_read(f->segment, replica, committed) : -EBADF;
	if (error == 0)
		return 0;
	replica_void(replica);
	return lockfile_fail(&f->lockfile, error,
	    error == -EBADF ? OWNFD_LOST : "the segment cannot be read");
}

/*
 * The turn is this process's for its readers, too, and so nobody else has written; but it may have
 * mapped the segment in between.
 */
static int
upgrade(struct smc_file *f)
{
	int error;

	(void)pthread_mutex_lock(&f->mutex);
	f->fence = 0;
	(void)pthread_mutex_unlock(&f->mutex);
	error = refresh(f);
	f->is_exclusive = error == 0;
	return error;
}

/* Why a wait for the lock has ended with that error. */
static const char *
describe_end(int error)
{
	if (error == -EINTR)
		return "a signal ended the wait for the lock";
	if (error == -ECANCELED)
		return "another thread closed the file during the wait for the lock";
	return "another process holds the lock";
}

static int
acquire(struct backend_file *base, enum protocol_mode mode, uint64_t deadline, struct eintr *e)
{
	struct smc_file *f = smc_file(base);
	int error = attach(f);

	if (error != 0)
		return error;
	if (mode == PROTOCOL_UPGRADE)
		return upgrade(f);
	error = ticketlock_take(&f->lockfile.lock, deadline, &base->is_interrupted, e);
	if (error == -EBADF)
		return lockfile_fail(&f->lockfile, error, OWNFD_LOST);
	if (error != 0)
		return lockfile_fail_of_another(&f->lockfile, error, describe_end(error));
	f->fence = 0;
	f->is_exclusive = mode == PROTOCOL_EXCLUSIVE;
	error = refresh(f);
	if (error != 0)
		(void)ticketlock_release(&f->lockfile.lock);
	return error;
}

/*
 * Draws the token of this section. A holder that another process has taken over may draw after that
 * one, which would make its token the larger of the two: so the lock must still be held afterwards.
 */
static int
draw_fence(struct smc_file *f)
{
	uint64_t fence = atomic_fetch_add(&f->lockfile.untrusted_head->fences, 1) + 1;

	if (!ticketlock_is_held(&f->lockfile.lock))
		return lockfile_fail(&f->lockfile, -ESTALE, LOCKFILE_TAKEN_OVER);
	f->fence = fence;
	return 0;
}

/* The numbers of commits do not do: each must be that of a release. */
static int
get_grant(struct backend_file *base, uint64_t *life, uint64_t *grant, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	int error = 0;

	(void)until;
	(void)pthread_mutex_lock(&f->mutex);
	if (f->fence == 0)
		error = draw_fence(f);
	if (error == 0)
		*grant = f->fence;
	(void)pthread_mutex_unlock(&f->mutex);
	if (error != 0)
		return error;
	memcpy(life, f->lockfile.salt, sizeof *life);
	return 0;
}

static bool
is_contended(struct backend_file *base, uint64_t deadline)
{
	(void)deadline;
	return ticketlock_is_contended(&smc_file(base)->lockfile.lock);
}

/* Publishes the changes; after a failure the replica is void. */
static int
publish(struct smc_file *f)
{
	struct replica *replica = f->base.replica;
	uint64_t version = 0;
	int error;

	if (!replica_is_mapped(replica))
		return 0;
	error = commit_run(&f->lockfile, f->segment, replica, &version);
	if (error == 0)
		replica_published(replica, version);
	else
		replica_void(replica);
	return error;
}

static int
release(struct backend_file *base, bool is_publishing, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	int error = 0, stale;

	(void)until;
	if (f->is_exclusive && is_publishing)
		error = publish(f);
	else if (f->is_exclusive)
		replica_void(base->replica);
	stale = ticketlock_release(&f->lockfile.lock);
	if (stale != 0 && error == 0) {
		replica_void(base->replica);
		error = lockfile_fail(&f->lockfile, stale, LOCKFILE_TAKEN_OVER);
	}
	return error;
}

/* The turn stays: readers share it within this process. */
static int
downgrade(struct backend_file *base, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	int error = publish(f);

	(void)until;
	f->is_exclusive = false;
	if (error != 0)
		(void)ticketlock_release(&f->lockfile.lock);
	return error;
}

static int
stat_file(struct backend_file *base, struct sm_stat *out, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	struct lockfile_head *h;
	int error = attach(f);

	(void)until;
	if (error != 0)
		return error;
	h = f->lockfile.untrusted_head;
	*out = (struct sm_stat){
		.size = atomic_load(&h->segment_size),
		.open_count = lockfile_count_users(&f->lockfile),
		.waiters = ticketlock_count_waiters(&f->lockfile.lock),
		.version = atomic_load(&h->committed),
		.grants = atomic_load(&h->words.turn),
	};
	(void)pthread_mutex_lock(&f->mutex);
	out->committed = f->segment == NULL ? 0 : segment_published_bytes(f->segment);
	(void)pthread_mutex_unlock(&f->mutex);
	out->type = out->size == 0 ? PROTOCOL_TYPE_PURE :
	    out->version == 0      ? PROTOCOL_TYPE_UNPUBLISHED :
				     PROTOCOL_TYPE_SEGMENT;
	memcpy(&out->life, f->lockfile.salt, sizeof out->life);
	return 0;
}

/* Readers share the lock within their process only, so that others see it held exclusively. */
static int
get_holder(struct backend_file *base, struct sm_holder *out, uint64_t until)
{
	struct smc_file *f = smc_file(base);
	int error = attach(f);

	(void)until;
	if (error == 0)
		*out = (struct sm_holder){ .mode = ticketlock_is_taken(&f->lockfile.lock) ?
			    SM_WRITE :
			    0,
			.pid = -1 };
	return error;
}

/* fork(2) */

static bool
fork_ready(struct mount *m, uint64_t until)
{
	struct smc_file *smc;
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link) {
		smc = smc_file(f->backend);
		if (!mutex_lock_until(&smc->attaching, until))
			continue;
		lockfile_fork_prepare(&smc->lockfile, until);
		(void)pthread_mutex_unlock(&smc->attaching);
	}
	return true;
}

static void
fork_prepare(struct mount *m)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link)
		(void)pthread_mutex_lock(&smc_file(f->backend)->mutex);
}

static void
fork_parent(struct mount *m)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link) {
		lockfile_fork_parent(&smc_file(f->backend)->lockfile);
		(void)pthread_mutex_unlock(&smc_file(f->backend)->mutex);
	}
}

static void
fork_child(struct mount *m, bool is_prepared)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link) {
		lockfile_fork_child(&smc_file(f->backend)->lockfile, is_prepared);
		mutex_fork_child(&smc_file(f->backend)->attaching, false);
		mutex_fork_child(&smc_file(f->backend)->mutex, is_prepared);
	}
}

const struct backend_ops smc_backend = {
	.type = "smc",
	.has_directory = true,
	.has_key = true,
	.has_locks = true,
	.has_kernel_locks = true,
	.configure = configure,
	.detach = detach,
	.fork_ready = fork_ready,
	.fork_prepare = fork_prepare,
	.fork_parent = fork_parent,
	.fork_child = fork_child,
	.open = open_file,
	.close = close_file,
	.is_alive = is_alive,
	.map = map,
	.stat = stat_file,
	.holder = get_holder,
	.acquire = acquire,
	.is_contended = is_contended,
	.grant = get_grant,
	.release = release,
	.downgrade = downgrade,
};
