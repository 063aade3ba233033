#include "common/client/smclient_core.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/client/mountfile.h"
#include "common/client/mountspec.h"
#include "common/crypto/tls_context.h"

enum { CLOSE_LEAST_MS = 1000 };

int
smclient_end(int error)
{
	if (error == 0)
		return 0;
	error_finish(error);
	errno = -error;
	return -1;
}

struct sm *
sm_new(void)
{
	struct sm *sm = calloc(1, sizeof *sm);
	int error;

	error_begin();
	if (sm == NULL) {
		smclient_end(-ENOMEM);
		return NULL;
	}
	(void)pthread_mutex_init(&sm->mutex, NULL);
	TAILQ_INIT(&sm->mounts);
	TAILQ_INIT(&sm->handles);
	error = smclient_add_forkhook(sm);
	if (error != 0) {
		free(sm);
		smclient_end(error);
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
	smclient_begin(sm);
	forkhooks_remove(&sm->fork);
	TAILQ_FOREACH(m, &sm->mounts, link)
		m->is_ending = true;
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

	smclient_begin(sm);
	error = mountfile_load(&file, conf);
	if (error == 0) {
		error = add_mounts(sm, &file.mounts, file.tls);
		if (error == 0)
			file.tls = NULL;
		else
			error_prefix(error, "%s: ", conf);
	}
	mountfile_fini(&file);
	return smclient_end(error);
}

int
sm_mount(struct sm *sm, const char *uri, const char *path, const char *type, const char *options)
{
	struct mount_list list = TAILQ_HEAD_INITIALIZER(list);
	struct mount *m = NULL;
	int error;

	smclient_begin(sm);
	error = mountspec_create(&m, uri, path, type, options);
	if (error == 0) {
		TAILQ_INSERT_TAIL(&list, m, link);
		error = add_mounts(sm, &list, NULL);
		if (error != 0)
			mount_destroy(m);
	}
	return smclient_end(error);
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
