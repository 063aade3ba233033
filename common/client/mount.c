#include "common/client/mount.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"

int
mount_normalize(char out[MOUNT_PATH_SIZE], const char *path)
{
	const char *next = path;
	size_t n, used = 0;

	if (*path != '/')
		return error_message(-EINVAL, "%s: the path is not absolute", path);
	for (; *next != '\0'; next += n) {
		next += strspn(next, "/");
		n = strcspn(next, "/");
		if (n == 0 || (n == 1 && *next == '.'))
			continue;
		if (n == 2 && next[0] == '.' && next[1] == '.')
			return error_message(-EINVAL, "%s: .. is not allowed in a path", path);
		if (used + 1 + n >= MOUNT_PATH_SIZE)
			return error_message(-ENAMETOOLONG, "the path is too long");
		out[used++] = '/';
		memcpy(out + used, next, n);
		used += n;
	}
	out[used] = '\0';
	return 0;
}

int
mount_resolve(char **out, const char *base, const char *path)
{
	char *resolved = NULL;

	if (*path != '/' && base != NULL && *base == '\0')
		return error_message(-ENOENT,
		    "%s: a relative path, and the working directory cannot be found", path);
	if (*path == '/' || base == NULL)
		resolved = strdup(path);
	else if (asprintf(&resolved, "%s/%s", base, path) < 0)
		resolved = NULL;
	if (resolved == NULL)
		return -ENOMEM;
	*out = resolved;
	return 0;
}

int
mount_set_directory(struct mount *m, const char *uri)
{
	static const char scheme[] = "file:";

	if (strncmp(uri, scheme, sizeof scheme - 1) != 0 || uri[sizeof scheme - 1] == '\0')
		return error_message(-EINVAL, "%s: file: and a directory are expected here", uri);
	return mount_resolve(&m->directory, m->base, uri + sizeof scheme - 1);
}

int
mount_create(struct mount **out, const struct backend_ops *ops, const char *point)
{
	struct mount *m = calloc(1, sizeof *m);

	if (m == NULL)
		return -ENOMEM;
	m->point = strdup(point);
	if (m->point == NULL) {
		free(m);
		return -ENOMEM;
	}
	m->ops = ops;
	m->silence = MOUNT_SILENCE_DEFAULT * CLOCK_SEC;
	(void)pthread_mutex_init(&m->mutex, NULL);
	(void)pthread_mutex_init(&m->lists, NULL);
	TAILQ_INIT(&m->files);
	*out = m;
	return 0;
}

uint64_t
mount_deadline(const struct mount *m)
{
	return m->ops->has_server ? clock_coarse() + m->silence : CLOCK_NEVER;
}

void
mount_destroy(struct mount *m)
{
	if (m == NULL)
		return;
	m->ops->detach(m);
	(void)pthread_mutex_destroy(&m->mutex);
	(void)pthread_mutex_destroy(&m->lists);
	free(m->point);
	free(m->directory);
	free(m->key_file);
	explicit_bzero(m->master_key, sizeof m->master_key);
	free(m->name);
	free(m);
}

struct mount *
mount_at(const struct mount_list *list, const char *point)
{
	struct mount *m;

	TAILQ_FOREACH(m, list, link)
		if (strcmp(m->point, point) == 0)
			return m;
	return NULL;
}

struct mount *
mount_find(const struct mount_list *list, const char *path, const char **name)
{
	struct mount *m, *best = NULL;
	size_t n;

	TAILQ_FOREACH(m, list, link) {
		n = strlen(m->point);
		if (strncmp(m->point, path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
			continue;
		if (best == NULL || n > strlen(best->point))
			best = m;
	}
	if (best != NULL)
		*name = path + strlen(best->point);
	return best;
}
