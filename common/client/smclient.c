/*
 * The public functions: each finds its object, detects a fork that skipped the hooks, and turns an
 * error into errno and a message.
 */
#include "common/client/smclient.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/client/file.h"
#include "common/client/forkhooks.h"
#include "common/client/mount.h"
#include "common/client/mountfile.h"
#include "common/client/mountspec.h"
#include "common/crypto/tls_context.h"

enum { CLOSE_LEAST_MS = 1000 };

struct sm_file {
	TAILQ_ENTRY(sm_file) link;
	struct sm *sm;
	struct file *file;
	struct filehandle handle;
};

TAILQ_HEAD(handle_list, sm_file);

struct sm {
	struct forkhook fork;
	pthread_mutex_t mutex;    /* guards the rest; no thread waits while it has it */
	struct mount_list mounts; /* only grows */
	struct handle_list handles;
	struct tls_context *tls; /* NULL: plaintext; set once */
};

/* The end of every public call. Returns 0, or -1 with errno and a message. */
static int
end_call(int error)
{
	if (error == 0)
		return 0;
	error_finish(error);
	errno = -error;
	return -1;
}

/* The beginning of every public call. */
static void
begin_call(struct sm *sm)
{
	error_begin();
	forkhooks_check(&sm->fork);
}

static struct sm *
sm_of_hook(struct forkhook *h)
{
	return container_of(h, struct sm, fork);
}

/*
 * Locks are always taken in this order: sm, mount, those of the backend, file. While a mount waits
 * for its server the critical sections of all mounts go on. A mount whose mutex another thread has,
 * which waits for a silent server, is left out: the child finds it as if its fork had skipped the
 * hooks. None of the mounts can use up the time of those after it.
 */
static void
fork_ready(struct forkhook *h, uint64_t until)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;
	size_t left = 0;
	uint64_t share;

	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_FOREACH(m, &sm->mounts, link)
		left++;
	TAILQ_FOREACH(m, &sm->mounts, link) {
		share = clock_share(clock_now(), until, left--);
		m->is_ready = mutex_lock_until(&m->mutex, share);
		if (!m->is_ready || m->ops->fork_ready == NULL || m->ops->fork_ready(m, share))
			continue;
		m->is_ready = false;
		(void)pthread_mutex_unlock(&m->mutex);
	}
}

static void
prepare_mount(struct mount *m)
{
	struct file *f;

	m->ops->fork_prepare(m);
	TAILQ_FOREACH(f, &m->files, link)
		file_fork_prepare(f);
}

static void
fork_prepare(struct forkhook *h)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;

	TAILQ_FOREACH(m, &sm->mounts, link)
		if (m->is_ready)
			prepare_mount(m);
}

static void
resume_mount(struct mount *m)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link)
		file_fork_parent(f);
	m->ops->fork_parent(m);
	(void)pthread_mutex_unlock(&m->mutex);
}

static void
fork_parent(struct forkhook *h)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;

	TAILQ_FOREACH(m, &sm->mounts, link)
		if (m->is_ready)
			resume_mount(m);
	(void)pthread_mutex_unlock(&sm->mutex);
}

static void
fork_child(struct forkhook *h, bool is_prepared)
{
	struct sm_file *file;
	struct sm *sm = sm_of_hook(h);
	struct mount *m;
	struct file *f;
	bool is_ready;

	TAILQ_FOREACH(m, &sm->mounts, link) {
		is_ready = is_prepared && m->is_ready;
		m->ops->fork_child(m, is_ready);
		TAILQ_FOREACH(f, &m->files, link)
			file_fork_child(f, is_ready);
		mutex_fork_child(&m->mutex, is_ready);
	}
	/* The calls of the parent's other threads are not in this process. */
	TAILQ_FOREACH(file, &sm->handles, link)
		file->handle = (struct filehandle){ 0 };
	mutex_fork_child(&sm->mutex, is_prepared);
}

struct sm *
sm_new(void)
{
	struct sm *sm = calloc(1, sizeof *sm);
	int error;

	error_begin();
	if (sm == NULL) {
		end_call(-ENOMEM);
		return NULL;
	}
	(void)pthread_mutex_init(&sm->mutex, NULL);
	TAILQ_INIT(&sm->mounts);
	TAILQ_INIT(&sm->handles);
	sm->fork.ready = fork_ready;
	sm->fork.prepare = fork_prepare;
	sm->fork.parent = fork_parent;
	sm->fork.child = fork_child;
	error = forkhooks_add(&sm->fork);
	if (error != 0) {
		free(sm);
		end_call(error);
		return NULL;
	}
	return sm;
}

/*
 * When the end of a file of m gives up: the silence after sm_free() has begun, but each silent
 * server costs it a second.
 */
static uint64_t
until_of(const struct mount *m, uint64_t begun)
{
	uint64_t until = begun + m->silence, least = clock_after_ms(clock_now(), CLOSE_LEAST_MS);

	return until > least ? until : least;
}

void
sm_free(struct sm *sm)
{
	uint64_t begun = clock_now();
	struct sm_file *file;
	struct mount *m;
	struct file *f;

	if (sm == NULL)
		return;
	begin_call(sm);
	forkhooks_remove(&sm->fork);
	while ((file = TAILQ_FIRST(&sm->handles)) != NULL) {
		(void)file_close(file->file, &file->handle, until_of(file->file->mount, begun));
		TAILQ_REMOVE(&sm->handles, file, link);
		free(file);
	}
	while ((m = TAILQ_FIRST(&sm->mounts)) != NULL) {
		while ((f = TAILQ_FIRST(&m->files)) != NULL)
			file_end(f, until_of(m, begun));
		TAILQ_REMOVE(&sm->mounts, m, link);
		mount_destroy(m);
	}
	tls_context_destroy(sm->tls);
	(void)pthread_mutex_destroy(&sm->mutex);
	free(sm);
}

/* Moves all mounts of a list to sm, and the TLS context if there is one. On failure moves none. */
static int
add_mounts(struct sm *sm, struct mount_list *list, struct tls_context *tls)
{
	struct mount *m;
	int error = 0;

	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_FOREACH(m, list, link)
		if (mount_at(&sm->mounts, m->point) != NULL)
			error = error_message(-EEXIST, "%s/: the mount point is taken", m->point);
	if (tls != NULL && sm->tls != NULL)
		error = error_message(-EEXIST, "CAFILE: another mount file has named one");
	if (error == 0) {
		TAILQ_CONCAT(&sm->mounts, list, link);
		if (tls != NULL)
			sm->tls = tls;
	}
	(void)pthread_mutex_unlock(&sm->mutex);
	return error;
}

int
sm_load(struct sm *sm, const char *conf)
{
	struct mountfile file = { .mounts = TAILQ_HEAD_INITIALIZER(file.mounts) };
	int error;

	begin_call(sm);
	error = mountfile_load(&file, conf);
	if (error == 0) {
		error = add_mounts(sm, &file.mounts, file.tls);
		if (error == 0)
			file.tls = NULL;
		else
			error_prefix(error, "%s: ", conf);
	}
	mountfile_fini(&file);
	return end_call(error);
}

int
sm_mount(struct sm *sm, const char *uri, const char *path, const char *type, const char *options)
{
	struct mount_list list = TAILQ_HEAD_INITIALIZER(list);
	struct mount *m = NULL;
	int error;

	begin_call(sm);
	error = mountspec_create(&m, uri, path, type, options);
	if (error == 0) {
		TAILQ_INSERT_TAIL(&list, m, link);
		error = add_mounts(sm, &list, NULL);
		if (error != 0)
			mount_destroy(m);
	}
	return end_call(error);
}

/* Opens path: finds its mount, and there the file of the rest of path. */
static int
open_path(struct sm *sm, const char *path, struct file **out)
{
	char normal[MOUNT_PATH_SIZE];
	const char *name;
	struct tls_context *tls;
	struct mount *m;
	int error;

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
	return file_open(out, m, tls, name);
}

struct sm_file *
sm_open(struct sm *sm, const char *path)
{
	struct sm_file *file = NULL;
	int error;

	begin_call(sm);
	file = calloc(1, sizeof *file);
	error = file == NULL ? -ENOMEM : open_path(sm, path, &file->file);
	if (error != 0) {
		free(file);
		end_call(error);
		return NULL;
	}
	file->sm = sm;
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

	begin_call(sm);
	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_REMOVE(&sm->handles, file, link);
	(void)pthread_mutex_unlock(&sm->mutex);
	error = file_close(file->file, &file->handle, mount_deadline(file->file->mount));
	free(file);
	return end_call(error);
}

void *
sm_map(struct sm_file *file, void *hint, size_t size)
{
	void *address = NULL;
	int error;

	begin_call(file->sm);
	error = file_map(file->file, &file->handle, hint, size, &address);
	return end_call(error) == 0 ? address : NULL;
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

	begin_call(sm);
	do {
		m = next_mount(sm, m);
		error = m == NULL ? error_message(-EINVAL, "there is no mapping at the address") :
				    file_unmap(m, address, mount_deadline(m));
	} while (error == -ENOENT);
	return end_call(error);
}

int
sm_lock(struct sm_file *file)
{
	begin_call(file->sm);
	return end_call(file_lock(file->file, &file->handle, PROTOCOL_EXCLUSIVE, CLOCK_NEVER));
}

int
sm_trylock(struct sm_file *file)
{
	begin_call(file->sm);
	return end_call(file_lock(file->file, &file->handle, PROTOCOL_EXCLUSIVE, 0));
}

int
sm_timedlock(struct sm_file *file, const struct timespec *deadline)
{
	uint64_t ns = 0;
	int error;

	begin_call(file->sm);
	error = clock_from_timespec(deadline, &ns);
	if (error != 0)
		error_message(error, "the deadline is not a valid time");
	else /* A deadline of 0 would be a try. */
		error = file_lock(file->file, &file->handle, PROTOCOL_EXCLUSIVE, ns != 0 ? ns : 1);
	return end_call(error);
}

int
sm_rdlock(struct sm_file *file)
{
	begin_call(file->sm);
	return end_call(file_lock(file->file, &file->handle, PROTOCOL_SHARED, CLOCK_NEVER));
}

int
sm_unlock(struct sm_file *file)
{
	begin_call(file->sm);
	return end_call(file_unlock(file->file));
}

int
sm_dirty(struct sm_file *file, size_t offset, size_t length)
{
	begin_call(file->sm);
	return end_call(file_dirty(file->file, offset, length));
}

int
sm_grant(struct sm_file *file, uint64_t *life, uint64_t *grant)
{
	begin_call(file->sm);
	return end_call(file_grant(file->file, life, grant));
}

int
sm_stat(struct sm_file *file, struct sm_stat *out)
{
	begin_call(file->sm);
	return end_call(file_stat(file->file, out));
}

const char *
sm_error(const struct sm *sm)
{
	(void)sm;
	return error_text();
}

const char *
sm_version(void)
{
	return SMCLIENT_VERSION;
}
