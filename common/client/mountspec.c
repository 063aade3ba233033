#include "common/client/mountspec.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/wholefile.h"
#include "common/client/backends.h"
#include "common/client/mount.h"
#include "common/client/track/dirty_auto.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/dirty_hint.h"
#include "common/client/track/dirty_uffd.h"

static const struct dirty_ops *const trackers[] = {
	&dirty_auto, /* the default */
	&dirty_diff,
	&dirty_uffd,
	&dirty_hint,
};

static int
set_sync(struct mount *m, const char *value)
{
	m->is_full = strcmp(value, "full") == 0;
	if (m->is_full || strcmp(value, "delta") == 0)
		return 0;
	return error_message(-EINVAL, "sync=%s: the value must be delta or full", value);
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
	return error_message(-EINVAL, "track=%s: the value must be auto, diff, uffd or hint",
	    value);
}

static int
set_key(struct mount *m, const char *value)
{
	if (!m->ops->has_key)
		return error_message(-EINVAL, "key=: mounts of type %s have no key", m->ops->type);
	if (*value == '\0')
		return error_message(-EINVAL, "key=: the file is missing");
	free(m->key_file);
	m->key_file = NULL;
	return mount_resolve(&m->key_file, m->base, value);
}

static int
set_name(struct mount *m, const char *value)
{
	if (*value == '\0')
		return error_message(-EINVAL, "name=: the name is missing");
	free(m->name);
	m->name = strdup(value);
	return m->name == NULL ? -ENOMEM : 0;
}

static int
set_locks(struct mount *m, const char *value)
{
	if (!m->ops->has_locks)
		return error_message(-EINVAL, "locks=: mounts of type %s have no such option",
		    m->ops->type);
	if (strcmp(value, "kernel") == 0)
		m->locks = MOUNT_LOCKS_KERNEL;
	else if (strcmp(value, "none") == 0)
		m->locks = MOUNT_LOCKS_NONE;
	else
		return error_message(-EINVAL, "locks=%s: the value must be kernel or none", value);
	return 0;
}

static int
set_silence(struct mount *m, const char *value)
{
	const char *wrong;
	long long seconds = strtonum(value, 1, MOUNT_SILENCE_MOST, &wrong);

	if (wrong != NULL)
		return error_message(-EINVAL,
		    "silence=%s: the value must be a number of seconds, 1 to %d", value,
		    MOUNT_SILENCE_MOST);
	m->silence = (uint64_t)seconds * CLOCK_SEC;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct mount *, const char *value);
} options_known[] = {
	{ "sync", set_sync },
	{ "track", set_track },
	{ "key", set_key },
	{ "locks", set_locks },
	{ "name", set_name },
	{ "silence", set_silence },
};
enum { OPTIONS_KNOWN = sizeof options_known / sizeof options_known[0] };

/* One NAME=VALUE. */
static int
set_option(struct mount *m, char *option)
{
	char *value = strchr(option, '=');
	size_t i;

	if (value == NULL)
		return error_message(-EINVAL, "%s: the option has no value (sync=full has one)",
		    option);
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

/*
 * PATH or PATH,PATH: a packager mounts the directory at the second one; the library knows the
 * directory from the URI.
 */
static int
parse_point(char point[MOUNT_PATH_SIZE], const char *path, const struct backend_ops *ops)
{
	const char *comma = strchr(path, ',');
	char first[MOUNT_PATH_SIZE];
	int error;

	if (comma == NULL)
		return mount_normalize(point, path);
	if (!ops->has_directory)
		return error_message(-EINVAL, "%s: a mount of type %s has one mount point", path,
		    ops->type);
	error = mount_normalize(point, comma + 1);
	if (error != 0)
		return error;
	if ((size_t)(comma - path) >= sizeof first)
		return error_message(-ENAMETOOLONG, "the path is too long");
	memcpy(first, path, (size_t)(comma - path));
	first[comma - path] = '\0';
	return mount_normalize(point, first);
}

int
mountspec_parse(struct mount **out, const char *base, const char *uri, const char *path,
    const char *type, const char *options, enum mountspec_word *wrong)
{
	const struct backend_ops *ops = backends_find(type);
	char point[MOUNT_PATH_SIZE];
	struct mount *m;
	int error;

	*wrong = MOUNTSPEC_TYPE;
	if (ops == NULL)
		return error_message(-EINVAL,
		    "%s: there is no such type of mount (smdish, smuf, smc)", type);
	*wrong = MOUNTSPEC_PATH;
	error = parse_point(point, path, ops);
	if (error == 0)
		error = mount_create(&m, ops, point);
	if (error != 0)
		return error;
	m->tracker = trackers[0];
	m->base = base;
	*wrong = MOUNTSPEC_URI;
	error = ops->configure(m, uri);
	if (error == 0) {
		*wrong = MOUNTSPEC_OPTIONS;
		error = set_options(m, options);
	}
	if (error != 0) {
		mount_destroy(m);
		return error;
	}
	m->base = NULL;
	*out = m;
	return 0;
}

int
mountspec_read_key(struct mount *m)
{
	uint8_t bytes[KEYS_SIZE + 1];
	size_t size;
	int error;

	if (m->key_file == NULL)
		return 0;
	error = wholefile_read(m->key_file, bytes, sizeof bytes, &size);
	if (error != 0) {
		error_message(error, "key=%s: %s", m->key_file, error_string(error));
	} else if (size != KEYS_SIZE) {
		error = error_message(-EINVAL,
		    "key=%s: the file must have %d bytes (head -c 32 /dev/urandom makes them)",
		    m->key_file, KEYS_SIZE);
	} else {
		memcpy(m->master_key, bytes, sizeof m->master_key);
		m->has_master_key = true;
	}
	explicit_bzero(bytes, sizeof bytes);
	return error;
}

int
mountspec_create(struct mount **out, const char *uri, const char *path, const char *type,
    const char *options)
{
	char *here = getcwd(NULL, 0);
	enum mountspec_word wrong;
	struct mount *m;
	int error = mountspec_parse(&m, here != NULL ? here : "", uri, path, type, options, &wrong);

	free(here);
	if (error != 0)
		return error;
	error = mountspec_read_key(m);
	if (error != 0) {
		mount_destroy(m);
		return error;
	}
	*out = m;
	return 0;
}
