#include "common/client/smclient_core.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/eintr.h"

/* Exclusive creation is one that creates. */
static int
check_flags(const char *path, int flags)
{
	const int known = SM_OPEN_CREATE | SM_OPEN_EXCLUSIVE | SM_OPEN_OWNER;

	if ((flags & ~known) != 0 ||
	    (flags & (SM_OPEN_CREATE | SM_OPEN_EXCLUSIVE)) == SM_OPEN_EXCLUSIVE)
		return error_message(-EINVAL, "%s: the flags do not exist, or not together", path);
	return 0;
}

/* Opens path: finds its mount, and there the file of the rest of path. */
static int
open_path(struct sm *sm, const char *path, int flags, struct file **out)
{
	char normal[MOUNT_PATH_SIZE];
	const char *name;
	struct tls_context *tls;
	struct mount *m;
	int error;

	error = check_flags(path, flags);
	if (error == 0)
		error = mount_normalize(normal, path);
	if (error != 0)
		return error;
	(void)pthread_mutex_lock(&sm->mutex);
	m = mount_find(&sm->mounts, normal, &name);
	tls = sm->tls;
	(void)pthread_mutex_unlock(&sm->mutex);
	if (m == NULL)
		return error_message(-ENOENT, "%s: no mount covers the path", path);
	if (*name == '\0')
		return error_message(-EISDIR, "%s: the path is a mount point", path);
	return file_open(out, m, tls, name, flags & ~SM_OPEN_OWNER);
}

struct sm_file *
sm_open(struct sm *sm, const char *path)
{
	return sm_open_flags(sm, path, SM_OPEN_CREATE);
}

struct sm_file *
sm_open_flags(struct sm *sm, const char *path, int flags)
{
	struct sm_file *file = NULL;
	int error;

	smclient_begin(sm);
	file = calloc(1, sizeof *file);
	error = file == NULL ? -ENOMEM : open_path(sm, path, flags, &file->file);
	if (error != 0) {
		free(file);
		smclient_end(error);
		return NULL;
	}
	file->sm = sm;
	file->handle.is_owner = (flags & SM_OPEN_OWNER) != 0;
	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_INSERT_HEAD(&sm->handles, file, link);
	(void)pthread_mutex_unlock(&sm->mutex);
	return file;
}

int
sm_close(struct sm_file *file)
{
	struct sm *sm = file->sm;
	int error;

	smclient_begin(sm);
	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_REMOVE(&sm->handles, file, link);
	(void)pthread_mutex_unlock(&sm->mutex);
	error = file_close(file->file, &file->handle, mount_deadline(file->file->mount));
	free(file);
	return smclient_end(error);
}

void *
sm_map(struct sm_file *file, void *hint, size_t size)
{
	void *address = NULL;
	int error;

	smclient_begin(file->sm);
	error = file_map(file->file, &file->handle, hint, size, &address);
	return smclient_end(error) == 0 ? address : NULL;
}

/* The mount after m, the first one after NULL. */
static struct mount *
next_mount(struct sm *sm, struct mount *m)
{
	(void)pthread_mutex_lock(&sm->mutex);
	m = m == NULL ? TAILQ_FIRST(&sm->mounts) : TAILQ_NEXT(m, link);
	(void)pthread_mutex_unlock(&sm->mutex);
	return m;
}

int
sm_unmap(struct sm *sm, void *address)
{
	struct mount *m = NULL;
	int error;

	smclient_begin(sm);
	do {
		m = next_mount(sm, m);
		error = m == NULL ? error_message(-EINVAL, "there is no mapping at the address") :
				    file_unmap(m, address, mount_deadline(m));
	} while (error == -ENOENT);
	return smclient_end(error);
}

/* The end of every public function that acquires. */
static int
lock(struct sm_file *file, enum protocol_mode mode, uint64_t deadline, struct eintr *e)
{
	return smclient_end(file->file->take(file->file, &file->handle, mode, deadline, e));
}

int
sm_lock(struct sm_file *file)
{
	smclient_begin(file->sm);
	return lock(file, PROTOCOL_EXCLUSIVE, CLOCK_NEVER, NULL);
}

int
sm_trylock(struct sm_file *file)
{
	smclient_begin(file->sm);
	return lock(file, PROTOCOL_EXCLUSIVE, 0, NULL);
}

/* A deadline of 0 would be a try. */
static int
get_deadline(const struct timespec *ts, uint64_t *deadline)
{
	int error = clock_from_timespec(ts, deadline);

	if (error != 0)
		return error_message(error, "the deadline is not a valid time");
	*deadline += *deadline == 0;
	return 0;
}

int
sm_timedlock(struct sm_file *file, const struct timespec *deadline)
{
	uint64_t ns;
	int error;

	smclient_begin(file->sm);
	error = get_deadline(deadline, &ns);
	return error != 0 ? smclient_end(error) : lock(file, PROTOCOL_EXCLUSIVE, ns, NULL);
}

int
sm_rdlock(struct sm_file *file)
{
	smclient_begin(file->sm);
	return lock(file, PROTOCOL_SHARED, CLOCK_NEVER, NULL);
}

/* The lock is acquired for reading or for writing. */
static int
check_how(int how)
{
	const int known = SM_WRITE | SM_READ | SM_TRY | SM_INTERRUPTIBLE;

	if ((how & ~known) != 0 || ((how & SM_WRITE) != 0) == ((how & SM_READ) != 0))
		return error_message(-EINVAL, "there is no such way to acquire a lock");
	return 0;
}

int
sm_acquire(struct sm_file *file, int how, const struct timespec *deadline)
{
	enum protocol_mode mode = (how & SM_READ) != 0 ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE;
	uint64_t ns = (how & SM_TRY) != 0 ? 0 : CLOCK_NEVER;
	struct eintr e;
	int error;

	smclient_begin(file->sm);
	error = check_how(how);
	if (error == 0 && deadline != NULL && (how & SM_TRY) == 0)
		error = get_deadline(deadline, &ns);
	if (error != 0)
		return smclient_end(error);
	if ((how & SM_INTERRUPTIBLE) == 0)
		return lock(file, mode, ns, NULL);
	eintr_begin(&e);
	error = file->file->take(file->file, &file->handle, mode, ns, &e);
	eintr_end(&e);
	return smclient_end(error);
}

int
sm_unlock(struct sm_file *file)
{
	smclient_begin(file->sm);
	return smclient_end(file_unlock(file->file, &file->handle));
}

int
sm_downgrade(struct sm_file *file)
{
	smclient_begin(file->sm);
	return smclient_end(file_downgrade(file->file, &file->handle));
}

int
sm_dirty(struct sm_file *file, size_t offset, size_t length)
{
	smclient_begin(file->sm);
	return smclient_end(file_dirty(file->file, offset, length));
}

int
sm_grant(struct sm_file *file, uint64_t *life, uint64_t *grant)
{
	smclient_begin(file->sm);
	return smclient_end(file_grant(file->file, &file->handle, life, grant));
}

int
sm_holder(struct sm_file *file, struct sm_holder *out)
{
	smclient_begin(file->sm);
	return smclient_end(file_holder(file->file, out));
}

int
sm_stat(struct sm_file *file, struct sm_stat *out)
{
	smclient_begin(file->sm);
	return smclient_end(file_stat(file->file, out));
}
