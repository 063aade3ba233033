#include "common/client/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/wholefile.h"
#include "common/client/track/dirty_auto.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/dirty_hint.h"
#include "common/client/track/dirty_uffd.h"

static const struct backend_ops *const backends[] = {
	&smdish_backend,
	&smuf_backend,
	&smc_backend,
};

static const struct dirty_ops *const trackers[] = {
	&dirty_auto, /* the default */
	&dirty_diff,
	&dirty_uffd,
	&dirty_hint,
};

int
mount_normalize(char out[MOUNT_PATH_SIZE], const char *path)
{
	const char *next = path;
	size_t n, used = 0;

	if (*path != '/')
		return error_message(-EINVAL, "%s: not an absolute path", path);
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

static int
set_sync(struct mount *m, const char *value)
{
	m->is_full = strcmp(value, "full") == 0;
	if (m->is_full || strcmp(value, "delta") == 0)
		return 0;
	return error_message(-EINVAL, "sync=%s: full or delta is what there is", value);
}

static int
set_track(struct mount *m, const char *value)
{
	size_t i;

	for (i = 0; i < sizeof trackers / sizeof trackers[0]; i++)
		if (strcmp(trackers[i]->name, value) == 0) {
			m->tracker = trackers[i];
			return 0;
		}
	return error_message(-EINVAL, "track=%s: there is no such tracker", value);
}

static int
set_key(struct mount *m, const char *value)
{
	uint8_t bytes[KEYS_SIZE + 1];
	size_t size;
	int error;

	if (!m->ops->has_key)
		return error_message(-EINVAL, "key=: mounts of type %s have no key", m->ops->type);
	error = wholefile_read(value, bytes, sizeof bytes, &size);
	if (error != 0) {
		error_message(error, "key=%s: %s", value, error_string(error));
	} else if (size != KEYS_SIZE) {
		error = error_message(-EINVAL,
		    "key=%s: %d bytes are wanted there (head -c 32 /dev/urandom makes some)", value,
		    KEYS_SIZE);
	} else {
		memcpy(m->master_key, bytes, sizeof m->master_key);
		m->has_master_key = true;
	}
	explicit_bzero(bytes, sizeof bytes);
	return error;
}

static int
set_name(struct mount *m, const char *value)
{
	if (*value == '\0')
		return error_message(-EINVAL, "name=: a name must follow");
	free(m->name);
	m->name = strdup(value);
	return m->name == NULL ? -ENOMEM : 0;
}

static const struct {
	const char *name;
	int (*set)(struct mount *, const char *value);
} options_known[] = {
	{ "sync", set_sync },
	{ "track", set_track },
	{ "key", set_key },
	{ "name", set_name },
};
enum { OPTIONS_KNOWN = sizeof options_known / sizeof options_known[0] };

/* One NAME=VALUE. */
static int
set_option(struct mount *m, char *option)
{
	char *value = strchr(option, '=');
	size_t i;

	if (value == NULL)
		return error_message(-EINVAL, "%s: an option looks like sync=full", option);
	*value++ = '\0';
	for (i = 0; i < OPTIONS_KNOWN; i++)
		if (strcmp(option, options_known[i].name) == 0)
			return options_known[i].set(m, value);
	return error_message(-EINVAL, "%s=%s: there is no such option", option, value);
}

static int
set_options(struct mount *m, const char *options)
{
	char *copy, *next, *option;
	int error = 0;

	if (options == NULL || *options == '\0')
		return 0;
	copy = next = strdup(options);
	if (copy == NULL)
		return -ENOMEM;
	while (error == 0 && (option = strsep(&next, ",")) != NULL)
		error = set_option(m, option);
	free(copy);
	return error;
}

static int
set_type(struct mount *m, const char *type)
{
	size_t i;

	for (i = 0; i < sizeof backends / sizeof backends[0]; i++)
		if (strcmp(backends[i]->type, type) == 0)
			m->ops = backends[i];
	if (m->ops == NULL)
		return error_message(-EINVAL, "%s: no type of mount (smdish, smuf, smc)", type);
	return 0;
}

static int
set_point(struct mount *m, const char *path)
{
	char point[MOUNT_PATH_SIZE];
	int error;

	const char *comma = strchr(path, ',');
	char first[MOUNT_PATH_SIZE];

	if (comma != NULL && !m->ops->has_directory)
		return error_message(-EINVAL, "%s: a mount of type %s has one mount point", path,
		    m->ops->type);
	if (comma != NULL) {
		/* Where a packager mounts the directory; the library has that from the URI. */
		error = mount_normalize(point, comma + 1);
		if (error != 0)
			return error;
		if ((size_t)(comma - path) >= sizeof first)
			return error_message(-ENAMETOOLONG, "the path is too long");
		memcpy(first, path, (size_t)(comma - path));
		first[comma - path] = '\0';
		path = first;
	}
	error = mount_normalize(point, path);
	if (error != 0)
		return error;
	m->point = strdup(point);
	return m->point == NULL ? -ENOMEM : 0;
}

int
mount_set_directory(struct mount *m, const char *uri)
{
	static const char scheme[] = "file:";

	if (strncmp(uri, scheme, sizeof scheme - 1) != 0 || uri[sizeof scheme - 1] == '\0')
		return error_message(-EINVAL, "%s: file: and a directory are wanted here", uri);
	m->directory = strdup(uri + sizeof scheme - 1);
	return m->directory == NULL ? -ENOMEM : 0;
}

int
mount_create(struct mount **out, const char *uri, const char *path, const char *type,
    const char *options)
{
	struct mount *m = calloc(1, sizeof *m);
	int error;

	if (m == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&m->mutex, NULL);
	TAILQ_INIT(&m->files);
	m->tracker = trackers[0];
	error = set_type(m, type);
	if (error == 0)
		error = set_point(m, path);
	if (error == 0)
		error = m->ops->configure(m, uri);
	if (error == 0)
		error = set_options(m, options);
	if (error != 0) {
		mount_destroy(m);
		return error;
	}
	*out = m;
	return 0;
}

void
mount_destroy(struct mount *m)
{
	if (m == NULL)
		return;
	if (m->ops != NULL)
		m->ops->detach(m);
	(void)pthread_mutex_destroy(&m->mutex);
	free(m->point);
	free(m->directory);
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
