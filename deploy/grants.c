#include "deploy/grants.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "deploy/toml.h"
#include "deploy/word.h"

void
grants_init(struct grants *g, struct paths *paths)
{
	*g = (struct grants){ .paths = paths };
}

void
grants_fini(struct grants *g)
{
	lines_fini(&g->mounts);
	lines_fini(&g->trusted);
	lines_fini(&g->allowed);
	lines_fini(&g->points);
	lines_fini(&g->hidden);
	lines_fini(&g->writables);
}

void
grants_sort(struct grants *g)
{
	lines_sort(&g->mounts);
	lines_sort(&g->trusted);
	lines_sort(&g->allowed);
}

int
grants_error(const struct grants *g)
{
	const struct lines *const lists[] = { &g->mounts, &g->trusted, &g->allowed, &g->points,
		&g->hidden, &g->writables, &g->paths->texts };
	size_t i;

	for (i = 0; i < sizeof lists / sizeof lists[0]; i++)
		if (lines_error(lists[i]) != 0)
			return lines_error(lists[i]);
	return 0;
}

char *
grants_make_uri(struct grants *g, const char *kind, const char *host)
{
	struct lines *texts = &g->paths->texts;

	return toml_quote(texts, lines_add(texts, "%s:%s", kind, host));
}

void
grants_hide(struct grants *g, const char *host)
{
	lines_add_once(&g->hidden, host);
}

int
grants_allow(struct grants *g, const struct word *from, const char *kind, const char *host)
{
	struct stat st;

	if (stat(host, &st) != 0)
		return word_fail(from, -errno, "%s: %s", host, error_string(-errno));
	lines_add_once(&g->writables, paths_make_absolute(g->paths, host));
	/* A slash at the end stands for all in a directory. */
	if (S_ISDIR(st.st_mode) && host[strlen(host) - 1] != '/')
		host = lines_add(&g->paths->texts, "%s/", host);
	lines_add_once(&g->allowed, grants_make_uri(g, kind, host));
	return 0;
}

int
grants_trust(struct grants *g, const struct word *from, const char *host)
{
	const char *absolute = paths_make_absolute(g->paths, host);
	struct stat st;
	size_t i;

	if (lines_has(&g->hidden, host))
		return 0;
	if (stat(host, &st) != 0)
		return word_fail(from, -errno, "%s: %s", host, error_string(-errno));
	if (!S_ISREG(st.st_mode))
		return word_fail(from, -EINVAL, "%s: it is no regular file", host);
	for (i = 0; i < g->writables.count; i++)
		if (paths_is_below(absolute, g->writables.at[i]))
			return word_fail(from, -EINVAL,
			    "%s: the host could change it: the program may write there", host);
	lines_add_once(&g->trusted, grants_make_uri(g, "file", host));
	return 0;
}

int
grants_mount(struct grants *g, const struct word *from, const char *type, const char *inner,
    const char *uri, const char *more)
{
	struct lines *texts = &g->paths->texts;
	const char *kind = "", *line;

	if (*inner == '\0')
		return word_fail(from, -EINVAL, "Gramine mounts nothing at the root");
	if (!toml_is_utf8(inner))
		return word_fail(from, -EINVAL, "the path is not in UTF-8");
	if (type != NULL)
		kind = lines_add(texts, ", type = \"%s\"", type);
	/* The path comes first, by which grants_sort() sorts. */
	line = lines_add(texts, "{ path = %s%s, uri = %s%s }", toml_quote(texts, inner), kind, uri,
	    more);
	if (lines_has(&g->mounts, line))
		return 0;
	if (lines_has(&g->points, inner))
		return word_fail(from, -EEXIST, "%s: something else is mounted there already",
		    inner);
	lines_add(&g->points, "%s", inner);
	lines_add(&g->mounts, "%s", line);
	return 0;
}
