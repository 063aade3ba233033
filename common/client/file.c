#include "common/client/file_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/base/testpoint.h"
#include "common/client/backend.h"
#include "common/client/forkhooks.h"
#include "common/client/mount.h"
#include "common/client/smclient.h"
#include "common/client/stats.h"

/*
 * Takes the mount's mutex, which a thread has that speaks to the server. *until: when the caller,
 * which then speaks to it, gives up. That the server was slow for others does not count.
 */
static int
lock_mount(struct mount *m, uint64_t *until)
{
	if (mutex_lock_until(&m->mutex, mount_deadline(m))) {
		*until = mount_deadline(m);
		return 0;
	}
	return error_message(-ETIMEDOUT, "%s/: the server is silent, another thread waits for it",
	    m->point);
}

/* The same for a caller that cannot fail before it has closed something. */
static void
lock_mount_to_close(struct mount *m, uint64_t *until)
{
	uint64_t begun = clock_now();

	(void)pthread_mutex_lock(&m->mutex);
	*until += clock_now() - begun;
}

/* The file of that name, unless its server is gone. */
static struct file *
find(struct mount *m, const char *name, uint64_t until)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link)
		if (strcmp(f->name, name) == 0 && f->backend->ops->is_alive(f->backend, until))
			return f;
	return NULL;
}

/* Frees f, which is not mapped; its backend has closed its part, or never had one. */
static void
destroy(struct file *f)
{
	filelock_fini(&f->lock);
	free(f->name);
	free(f);
}

/*
 * Begins to count, if that is wanted. One request tells how fast the server answers while nobody
 * has to wait for a lock.
 */
static void
begin_counting(struct file *f, uint64_t until)
{
	struct sm_stat s;
	uint64_t begun;

	f->take = file_lock;
	f->stats = f->replica.stats = stats_get(f->mount->point, f->name);
	if (f->stats == NULL)
		return;
	f->take = file_lock_and_count;
	if (!f->mount->ops->has_server)
		return;
	begun = clock_now();
	if (f->backend->ops->stat(f->backend, &s, until) == 0)
		(void)stats_is_wait(f->stats, clock_now() - begun);
}

/* Makes a file without handles, not yet in the mount's list. */
static int
create(struct file **out, struct mount *m, struct tls_context *tls, const char *name, int flags,
    uint64_t until)
{
	struct file *f = calloc(1, sizeof *f);
	int error;

	if (f == NULL)
		return -ENOMEM;
	f->mount = m;
	f->name = strdup(name);
	error = filelock_init(&f->lock);
	if (error == 0 && f->name == NULL)
		error = -ENOMEM;
	if (error == 0)
		error = m->ops->open(&f->backend, m, tls, &f->replica, name, flags, until);
	if (error != 0) {
		destroy(f);
		return error;
	}
	begin_counting(f, until);
	*out = f;
	return 0;
}

/*
 * Lists f. Returns false if there has been a fork since forkhooks_count() was forks: its child does
 * not know f, but has inherited the locks of the kernel that f has.
 */
static bool
list(struct file *f, unsigned forks)
{
	struct mount *m = f->mount;
	bool is_ours;

	(void)pthread_mutex_lock(&m->lists);
	is_ours = !m->ops->has_kernel_locks || forkhooks_count() == forks;
	if (is_ours)
		TAILQ_INSERT_HEAD(&m->files, f, link);
	(void)pthread_mutex_unlock(&m->lists);
	return is_ours;
}

/* Makes a file without handles, in the mount's list. */
static int
create_listed(struct file **out, struct mount *m, struct tls_context *tls, const char *name,
    int flags, uint64_t until)
{
	struct file *f;
	unsigned forks;
	int error;

	for (;;) {
		forks = forkhooks_count();
		error = create(&f, m, tls, name, flags, until);
		if (error != 0)
			return error;
		testpoint_reach("file: opened");
		if (list(f, forks))
			break;
		(void)f->backend->ops->close(f->backend, until);
		destroy(f);
	}
	*out = f;
	return 0;
}

int
file_open(struct file **out, struct mount *m, struct tls_context *tls, const char *name, int flags)
{
	uint64_t until;
	struct file *f;
	int error = lock_mount(m, &until);

	if (error != 0)
		return error;
	f = find(m, name, until);
	if (f == NULL)
		error = create_listed(&f, m, tls, name, flags, until);
	else if ((flags & SM_OPEN_EXCLUSIVE) != 0)
		error = error_message(-EEXIST, "%s: this process has it open", name);
	if (error == 0) {
		f->handles++;
		*out = f;
	}
	(void)pthread_mutex_unlock(&m->mutex);
	return error;
}

/* With the mount's mutex: closes f if it has neither handles nor a mapping. */
static int
close_if_unused(struct file *f, uint64_t until)
{
	int error;

	if (f->handles > 0 || replica_is_mapped(&f->replica))
		return 0;
	/* A forked child never finds a file there whose backend has begun to close it. */
	(void)pthread_mutex_lock(&f->mount->lists);
	TAILQ_REMOVE(&f->mount->files, f, link);
	(void)pthread_mutex_unlock(&f->mount->lists);
	error = f->backend->ops->close(f->backend, until);
	testpoint_reach("file: closed");
	destroy(f);
	return error;
}

int
file_close(struct file *f, struct filehandle *h, uint64_t until)
{
	struct mount *m = f->mount;
	int error = 0, closed;

	file_end_waits(f, h);
	lock_mount_to_close(m, &until);
	if (filelock_release_handle(&f->lock, h)) {
		error = f->backend->ops->release(f->backend, false, until);
		filelock_hand_over(&f->lock);
	}
	f->handles--;
	closed = close_if_unused(f, until);
	(void)pthread_mutex_unlock(&m->mutex);
	return error != 0 ? error : closed;
}

/* Asks the backend for the size of the segment. */
static int
get_segment_size(struct file *f, uint64_t *size, uint64_t until)
{
	struct sm_stat s;
	int error = f->backend->ops->stat(f->backend, &s, until);

	if (error != 0)
		return error;
	if (s.size == 0)
		return error_message(-EINVAL, "%s: there is no segment yet: a size is needed",
		    f->name);
	*size = s.size;
	return 0;
}

static int
make_replica(struct file *f, void *hint, uint32_t size)
{
	struct mount *m = f->mount;
	int error;

	(void)pthread_mutex_lock(&m->lists);
	error = replica_map(&f->replica, hint, size, m->is_full, m->tracker);
	(void)pthread_mutex_unlock(&m->lists);
	return error;
}

static void
end_replica(struct file *f)
{
	(void)pthread_mutex_lock(&f->mount->lists);
	replica_unmap(&f->replica);
	(void)pthread_mutex_unlock(&f->mount->lists);
}

/* The first mapping. With the mount's mutex and the local lock: no thread uses the replica. */
static int
map_replica(struct file *f, void *hint, uint64_t size, uint64_t until)
{
	int error = 0;

	if (size == 0)
		error = get_segment_size(f, &size, until);
	if (error == 0 && size > PROTOCOL_SEGMENT_MOST)
		error = error_message(-EMSGSIZE,
		    "%s: the size is above 2 GiB, the limit of a segment", f->name);
	if (error == 0)
		error = make_replica(f, hint, (uint32_t)size);
	if (error != 0)
		return error;
	error = f->backend->ops->map(f->backend, (uint32_t)size, until);
	if (error != 0)
		end_replica(f);
	return error;
}

/* Takes the local lock, without a grant. Returns 0, or -EBUSY when it is not free. */
static int
lock_locally(struct file *f, const void *handle)
{
	const struct filelock_holder self = { .owner = (filelock_owner)f, .handle = handle };
	enum filelock_task task;
	int error = filelock_acquire(&f->lock, PROTOCOL_EXCLUSIVE, self, 0, NULL, &task);

	if (error == -EAGAIN)
		return error_message(-EBUSY, "%s: this process has the lock or waits for it",
		    f->name);
	return error;
}

/*
 * With the mount's mutex: the first mapping, of a file that h may have locked. *is_shared: it has,
 * and file_hold_again() has to follow.
 */
static int
map_first(struct file *f, const struct filehandle *h, void *hint, size_t size, uint64_t until,
    bool *is_shared)
{
	int error = lock_locally(f, h), shared;

	*is_shared = false;
	if (error == 0) {
		error = map_replica(f, hint, size, until);
		filelock_hand_over(&f->lock);
	} else if (error == -EBUSY) {
		shared = file_share(f, h);
		*is_shared = shared == 0;
		if (shared == 0)
			error = map_replica(f, hint, size, until);
		else
			error = shared;
	}
	return error;
}

int
file_map(struct file *f, const struct filehandle *h, void *hint, size_t size, void **out)
{
	bool is_shared = false;
	uint64_t until;
	int error = lock_mount(f->mount, &until), held = 0;

	if (error != 0)
		return error;
	if (!replica_is_mapped(&f->replica))
		error = map_first(f, h, hint, size, until, &is_shared);
	else if (size != 0 && size != f->replica.dirty.size)
		error = error_message(-EINVAL, "%s: the segment is mapped with another size",
		    f->name);
	if (error == 0)
		*out = f->replica.dirty.base;
	(void)pthread_mutex_unlock(&f->mount->mutex);
	/* Readers of other processes may take their time: without the mutex. */
	if (is_shared)
		held = file_hold_again(f, h);
	return held != 0 ? held : error;
}

/* With the mount's mutex. */
static int
unmap(struct file *f, uint64_t until)
{
	int error = lock_locally(f, f);

	if (error != 0)
		return error;
	end_replica(f);
	filelock_hand_over(&f->lock);
	return close_if_unused(f, until);
}

int
file_unmap(struct mount *m, const void *address, uint64_t until)
{
	struct file *f;
	int error = -ENOENT;

	lock_mount_to_close(m, &until);
	TAILQ_FOREACH(f, &m->files, link)
		if (replica_is_mapped(&f->replica) && f->replica.dirty.base == address)
			break;
	if (f != NULL)
		error = unmap(f, until);
	(void)pthread_mutex_unlock(&m->mutex);
	return error;
}

void
file_end(struct file *f, uint64_t until)
{
	struct mount *m = f->mount;

	(void)pthread_mutex_lock(&m->mutex);
	f->handles = 0;
	end_replica(f);
	(void)close_if_unused(f, until);
	(void)pthread_mutex_unlock(&m->mutex);
}

int
file_dirty(struct file *f, size_t offset, size_t length)
{
	uint32_t size = f->replica.dirty.size;

	if (!replica_is_mapped(&f->replica))
		return error_message(-EINVAL, "%s: the segment is not mapped", f->name);
	if (offset > size || length > size - offset)
		return error_message(-EINVAL, "%s: the range is not in the segment", f->name);
	replica_hint(&f->replica, (uint32_t)offset, (uint32_t)length);
	return 0;
}

int
file_stat(struct file *f, struct sm_stat *out)
{
	return f->backend->ops->stat(f->backend, out, mount_deadline(f->mount));
}

void
file_fork_prepare(struct file *f)
{
	(void)pthread_mutex_lock(&f->lock.mutex);
	if (filelock_is_free(&f->lock))
		replica_fork_prepare(&f->replica);
}

void
file_fork_parent(struct file *f)
{
	(void)pthread_mutex_unlock(&f->lock.mutex);
}

void
file_fork_child(struct file *f, bool is_prepared)
{
	filelock_fork_child(&f->lock, is_prepared);
	replica_fork_child(&f->replica);
}
