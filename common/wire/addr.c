#include "common/wire/addr.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool
skip_prefix(const char **text, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*text, prefix, n) != 0)
		return false;
	*text += n;
	return true;
}

/* HOST:PORT, [IPv6]:PORT, *:PORT, :PORT */
static int
parse_tcp(struct addr *a, const char *text)
{
	const char *colon, *host = text, *wrong;
	size_t n;

	a->kind = ADDR_TCP;
	if (*text == '[') {
		host = text + 1;
		colon = strchr(host, ']');
		if (colon == NULL || colon[1] != ':')
			return -EINVAL;
		n = (size_t)(colon - host);
		colon++;
	} else {
		colon = strrchr(text, ':');
		if (colon == NULL || memchr(text, ':', (size_t)(colon - text)) != NULL)
			return -EINVAL;
		n = (size_t)(colon - host);
	}
	if (n == 1 && *host == '*')
		n = 0;
	if (n >= sizeof a->host || strlcpy(a->port, colon + 1, sizeof a->port) >= sizeof a->port)
		return -EINVAL;
	memcpy(a->host, host, n);
	a->host[n] = '\0';
	strtonum(a->port, 0, 65535, &wrong);
	return wrong == NULL ? 0 : -EINVAL;
}

static int
parse_pipe(struct addr *a, const char *text)
{
	const char *wrong;
	long long number = strtonum(text, 0, UINT32_MAX, &wrong);

	if (wrong != NULL)
		return -EINVAL;
	a->kind = ADDR_ABSTRACT_PADDED;
	snprintf(a->name, sizeof a->name, "/graphene/123456/%08llx", number);
	return 0;
}

/* A path fits sun_path with its NUL; an abstract name has a NUL in front and needs none behind. */
static int
parse_unix(struct addr *a, const char *text, enum addr_kind kind)
{
	a->kind = kind;
	if (*text == '\0')
		return -EINVAL;
	if (strlen(text) > sizeof a->name - 2)
		return -ENAMETOOLONG;
	strlcpy(a->name, text, sizeof a->name);
	return 0;
}

int
addr_parse(struct addr *out, const char *text, int flags)
{
	struct addr a = { 0 };
	const char *rest = text;
	int error;

	if (strlcpy(a.text, text, sizeof a.text) >= sizeof a.text)
		return -ENAMETOOLONG;
	if (skip_prefix(&rest, "tcp://") || skip_prefix(&rest, "tcp:"))
		error = parse_tcp(&a, rest);
	else if (skip_prefix(&rest, "unix:"))
		error = parse_unix(&a, rest, ADDR_UNIX);
	else if (skip_prefix(&rest, "abstract:"))
		error = parse_unix(&a, rest, ADDR_ABSTRACT_EXACT);
	else if (skip_prefix(&rest, "pipe:"))
		error = parse_pipe(&a, rest);
	else if (flags & ADDR_ABSTRACT)
		error = parse_unix(&a, rest, ADDR_ABSTRACT_PADDED);
	else if (strchr(rest, '/') != NULL)
		error = parse_unix(&a, rest, ADDR_UNIX);
	else
		error = -EINVAL;
	if (error == 0)
		*out = a;
	return error;
}

int
addr_set_path(struct addr *a, const char *path)
{
	return parse_unix(a, path, a->kind);
}
