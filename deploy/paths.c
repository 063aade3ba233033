#include "deploy/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "deploy/mountline.h"
#include "deploy/toml.h"
#include "deploy/word.h"

int
paths_init(struct paths *p, const struct mountline_list *mounts)
{
	*p = (struct paths){ .mounts = mounts };
	p->here = getcwd(NULL, 0);
	if (p->here == NULL)
		return error_message(-errno, "the current directory: %s", error_string(-errno));
	return 0;
}

void
paths_fini(struct paths *p)
{
	lines_fini(&p->texts);
	free(p->here);
}

int
paths_to_inner(struct paths *p, const struct word *from, const char *path, const char **inner)
{
	char point[MOUNT_PATH_SIZE];
	const char *absolute = *path == '/' ? path : lines_add(&p->texts, "/%s", path);
	int error = *absolute == '/' ? mount_normalize(point, absolute) : -ENOMEM;

	if (error != 0)
		return word_blame(from, error);
	if (!toml_is_utf8(point))
		return word_fail(from, -EINVAL, "the path is not in UTF-8");
	*inner = lines_add(&p->texts, "%s", point);
	return 0;
}

int
paths_to_host(struct paths *p, const struct word *from, const char *path, const char **host)
{
	const char *inner;
	int error = paths_to_inner(p, from, path, &inner);

	if (error != 0)
		return error;
	if (*path == '/')
		*host = *inner == '\0' ? "/" : inner;
	else
		*host = *inner == '\0' ? "." : inner + 1;
	return 0;
}

/* rest begins with a slash, or is empty. */
static const char *
join(struct paths *p, const char *host, const char *rest)
{
	if (*rest == '\0')
		return host;
	if (strcmp(host, ".") == 0)
		return rest + 1;
	return lines_add(&p->texts, "%s%s", strcmp(host, "/") == 0 ? "" : host, rest);
}

int
paths_look_up(struct paths *p, const struct word *from, const char *path, const char **inner,
    const char **host, const struct mountline **cover)
{
	const char *rest;
	int error = paths_to_inner(p, from, path, inner);

	if (error != 0)
		return error;
	*cover = mountline_cover(p->mounts, *inner, &rest);
	if (*cover == NULL)
		return paths_to_host(p, from, path, host);
	error = paths_to_host(p, from, mountline_host(*cover), host);
	if (error == 0)
		*host = join(p, *host, rest);
	return error;
}

const char *
paths_make_absolute(struct paths *p, const char *host)
{
	if (*host == '/')
		return host;
	return strcmp(host, ".") == 0 ? p->here : lines_add(&p->texts, "%s/%s", p->here, host);
}

const char *
paths_make_relative(const struct paths *p, const char *host)
{
	size_t n = strlen(p->here);

	return paths_is_below(host, p->here) && host[n] == '/' ? host + n + 1 : host;
}

bool
paths_is_below(const char *path, const char *folder)
{
	size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}
