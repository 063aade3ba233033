#include "common/client/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/client/backend.h"
#include "common/client/mount.h"
#include "common/client/smclient.h"

enum { JOIN_MS = 50 }; /* between two looks of a reader that may not join */

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

/* Makes a file without handles, not yet in the mount's list. */
static int
create(struct file **out, struct mount *m, struct tls_context *tls, const char *name,
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
		error = m->ops->open(&f->backend, m, tls, &f->replica, name, until);
	if (error != 0) {
		filelock_fini(&f->lock);
		free(f->name);
		free(f);
		return error;
	}
	*out = f;
	return 0;
}

int
file_open(struct file **out, struct mount *m, struct tls_context *tls, const char *name)
{
	uint64_t until;
	struct file *f;
	int error = lock_mount(m, &until);

	if (error != 0)
		return error;
	f = find(m, name, until);
	if (f == NULL) {
		error = create(&f, m, tls, name, until);
		if (error == 0)
			TAILQ_INSERT_HEAD(&m->files, f, link);
	}
	if (error == 0) {
		f->handles++;
		*out = f;
	}
	(void)pthread_mutex_unlock(&m->mutex);
	return error;
}

/* With the mount's mutex: frees f, whose backend has closed its part. */
static void
destroy(struct file *f)
{
	TAILQ_REMOVE(&f->mount->files, f, link);
	replica_unmap(&f->replica);
	filelock_fini(&f->lock);
	free(f->name);
	free(f);
}

/* With the mount's mutex: closes f if it has neither handles nor a mapping. */
static int
close_if_unused(struct file *f, uint64_t until)
{
	int error;

	if (f->handles > 0 || replica_is_mapped(&f->replica))
		return 0;
	error = f->backend->ops->close(f->backend, until);
	destroy(f);
	return error;
}

/* Ends the waits of file_lock() through h. */
static void
end_waits(struct file *f, struct filehandle *h)
{
	const struct timespec pause = { .tv_nsec = CLOCK_MS };
	bool is_getting;

	atomic_store(&h->is_closing, true);
	while (filelock_expel(&f->lock, h, &is_getting) || atomic_load(&h->readers) > 0) {
		if (is_getting) {
			/* Perhaps another thread acquires by now, which then tries again. */
			atomic_store(&f->backend->is_interrupted, true);
			if (f->backend->ops->interrupt != NULL)
				f->backend->ops->interrupt(f->backend);
		}
		(void)nanosleep(&pause, NULL);
	}
}

int
file_close(struct file *f, struct filehandle *h, uint64_t until)
{
	struct mount *m = f->mount;
	int error = 0, closed;

	end_waits(f, h);
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

/* The first mapping. With the mount's mutex and the local lock: no thread uses the replica. */
static int
map_replica(struct file *f, void *hint, uint64_t size, uint64_t until)
{
	struct mount *m = f->mount;
	int error = 0;

	if (size == 0)
		error = get_segment_size(f, &size, until);
	if (error == 0 && size > PROTOCOL_SEGMENT_MOST)
		error = error_message(-EMSGSIZE,
		    "%s: the size is above 2 GiB, the limit of a segment", f->name);
	if (error == 0)
		error = replica_map(&f->replica, hint, (uint32_t)size, m->is_full, m->tracker);
	if (error != 0)
		return error;
	error = f->backend->ops->map(f->backend, (uint32_t)size, until);
	if (error != 0)
		replica_unmap(&f->replica);
	return error;
}

/* Takes the local lock, without a grant. Returns 0, or -EBUSY when it is not free. */
static int
lock_locally(struct file *f, const void *handle)
{
	bool is_first;
	int error = filelock_acquire(&f->lock, PROTOCOL_EXCLUSIVE, handle, 0, &is_first);

	if (error == -EAGAIN || error == -EDEADLK)
		return error_message(-EBUSY, "%s: this process has the lock or waits for it",
		    f->name);
	return error;
}

int
file_map(struct file *f, const struct filehandle *h, void *hint, size_t size, void **out)
{
	uint64_t until;
	int error = lock_mount(f->mount, &until);

	if (error != 0)
		return error;
	if (!replica_is_mapped(&f->replica)) {
		error = lock_locally(f, h);
		if (error == 0) {
			error = map_replica(f, hint, size, until);
			filelock_hand_over(&f->lock);
		}
	} else if (size != 0 && size != f->replica.dirty.size) {
		error = error_message(-EINVAL, "%s: the segment is mapped with another size",
		    f->name);
	}
	if (error == 0)
		*out = f->replica.dirty.base;
	(void)pthread_mutex_unlock(&f->mount->mutex);
	return error;
}

/* With the mount's mutex. */
static int
unmap(struct file *f, uint64_t until)
{
	int error = lock_locally(f, f);

	if (error != 0)
		return error;
	replica_unmap(&f->replica);
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
	replica_unmap(&f->replica);
	(void)close_if_unused(f, until);
	(void)pthread_mutex_unlock(&m->mutex);
}

static int
fail_as_closed(const struct file *f)
{
	return error_message(-EBADF, "%s: another thread has closed the handle", f->name);
}

/*
 * Takes the local lock. When nothing but other processes that wait keeps a reader from joining
 * others, asks now and then whether they still do.
 */
static int
take_locally(struct file *f, const struct filehandle *h, enum protocol_mode mode, uint64_t deadline,
    bool *is_first)
{
	const struct backend_ops *ops = f->backend->ops;
	uint64_t soon;
	int error;

	do {
		*is_first = false;
		soon = deadline;
		if (mode == PROTOCOL_SHARED && filelock_may_join(&f->lock)) {
			if (!ops->is_contended(f->backend, mount_deadline(f->mount)) &&
			    !atomic_load(&h->is_closing) && filelock_join(&f->lock, h))
				return 0;
			if (atomic_load(&h->is_closing))
				return fail_as_closed(f);
			soon = clock_after_ms(clock_now(), JOIN_MS);
			if (soon > deadline)
				soon = deadline;
		}
		error = filelock_acquire(&f->lock, mode, h, soon, is_first);
	} while (error == -ETIMEDOUT && soon < deadline);
	return error;
}

/* Asks the backend for the grant. An interrupt meant for another thread changes nothing. */
static int
get_grant(struct file *f, const struct filehandle *h, enum protocol_mode mode, uint64_t deadline)
{
	struct backend_file *b = f->backend;
	int error;

	do {
		atomic_store_explicit(&b->is_interrupted, false, memory_order_relaxed);
		error = b->ops->acquire(b, mode, deadline);
	} while (
	    error == -ECANCELED && atomic_load(&b->is_interrupted) && !atomic_load(&h->is_closing));
	if (error == 0 && atomic_load(&h->is_closing)) {
		(void)b->ops->release(b, false, mount_deadline(f->mount));
		error = -ECANCELED;
	}
	return error;
}

/* The first holder: gets the grant, or leaves. */
static int
begin_section(struct file *f, const struct filehandle *h, enum protocol_mode mode,
    uint64_t deadline)
{
	int error = replica_begin(&f->replica);

	if (error == 0)
		error = get_grant(f, h, mode, deadline);
	if (error == -ECANCELED && atomic_load(&h->is_closing))
		error = fail_as_closed(f);
	/* The last step: when h is being closed, h and f may be gone after it. */
	if (error != 0)
		filelock_hand_over(&f->lock);
	else if (mode == PROTOCOL_SHARED)
		filelock_admit_readers(&f->lock);
	else
		filelock_got(&f->lock);
	return error;
}

/* The local lock could not be taken. */
static int
fail_locally(struct file *f, int error)
{
	if (error == -EDEADLK)
		return error_message(error, "%s: this thread has the lock already", f->name);
	if (error == -EAGAIN || error == -ETIMEDOUT)
		return error_message(error, "%s: another thread has the lock", f->name);
	if (error == -ECANCELED) {
		error = fail_as_closed(f);
		filelock_leave(&f->lock);
	}
	return error;
}

int
file_lock(struct file *f, struct filehandle *h, enum protocol_mode mode, uint64_t deadline)
{
	bool is_first, reads = mode == PROTOCOL_SHARED;
	int error;

	/* file_close() waits for readers, which may be asking the server and not be queued. */
	if (reads)
		atomic_fetch_add(&h->readers, 1);
	error = take_locally(f, h, mode, deadline, &is_first);
	if (error != 0)
		error = fail_locally(f, error);
	if (reads)
		atomic_fetch_sub(&h->readers, 1);
	if (error != 0)
		return error;
	return is_first ? begin_section(f, h, mode, deadline) : 0;
}

int
file_unlock(struct file *f)
{
	int last = filelock_release(&f->lock), error;

	if (last < 0)
		return error_message(last, "%s: this thread does not have the lock", f->name);
	if (last == 0)
		return 0;
	error = f->backend->ops->release(f->backend, true, mount_deadline(f->mount));
	filelock_hand_over(&f->lock);
	return error;
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
file_grant(struct file *f, uint64_t *life, uint64_t *grant)
{
	if (!filelock_is_holder(&f->lock))
		return error_message(-ENOLCK, "%s: this thread does not have the lock", f->name);
	return f->backend->ops->grant(f->backend, life, grant, mount_deadline(f->mount));
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
