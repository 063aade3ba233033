#include "common/wire/addr.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/error.h"

static bool
skip_prefix(const char **text, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*text, prefix, n) != 0)
		return false;
	*text += n;
	return true;
}

static int
set_port(struct addr *a, const char *text)
{
	const char *wrong = NULL;

	if (*text == '\0')
		return error_message(-EINVAL, "%s: the port is missing: tcp:HOST:PORT", a->text);
	if (strlcpy(a->port, text, sizeof a->port) < sizeof a->port)
		strtonum(a->port, 0, 65535, &wrong);
	else
		wrong = "too long";
	if (wrong != NULL)
		return error_message(-EINVAL, "%s: the port must be a number up to 65535", a->text);
	return 0;
}

/* Finds the end of the host, [IPv6] or without colons, and the colon behind it. */
static int
split_tcp(const struct addr *a, const char **host, size_t *size, const char **colon)
{
	const char *text = *host;

	if (*text == '[') {
		*host = text + 1;
		*colon = strchr(*host, ']');
		if (*colon == NULL || (*colon)[1] != ':')
			return error_message(-EINVAL, "%s: expected: tcp:[IPv6]:PORT", a->text);
		*size = (size_t)(*colon - *host);
		(*colon)++;
		return 0;
	}
	*colon = strrchr(text, ':');
	if (*colon == NULL)
		return error_message(-EINVAL, "%s: the port is missing: tcp:HOST:PORT", a->text);
	*size = (size_t)(*colon - text);
	if (memchr(text, ':', *size) != NULL)
		return error_message(-EINVAL, "%s: an IPv6 address needs brackets: tcp:[IPv6]:PORT",
		    a->text);
	return 0;
}

/* HOST:PORT, [IPv6]:PORT, *:PORT, :PORT */
static int
parse_tcp(struct addr *a, const char *text)
{
	const char *colon = NULL, *host = text;
	size_t n = 0;
	int error = split_tcp(a, &host, &n, &colon);

	a->kind = ADDR_TCP;
	if (error != 0)
		return error;
	if (n == 1 && *host == '*')
		n = 0;
	if (n >= sizeof a->host)
		return error_message(-EINVAL, "%s: the host is too long", a->text);
	memcpy(a->host, host, n);
	a->host[n] = '\0';
	return set_port(a, colon + 1);
}

static int
parse_pipe(struct addr *a, const char *text)
{
	const char *wrong;
	long long number = strtonum(text, 0, UINT32_MAX, &wrong);

	if (wrong != NULL)
		return error_message(-EINVAL, "%s: expected: pipe:NUMBER", a->text);
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
		return error_message(-EINVAL, "%s: the path or name is missing", a->text);
	if (strlen(text) > sizeof a->name - 2)
		return error_message(-ENAMETOOLONG, "%s: too long for a socket (at most %zu bytes)",
		    a->text, sizeof a->name - 2);
	strlcpy(a->name, text, sizeof a->name);
	return 0;
}

/* What has no prefix: a path, or what was meant to be another address. */
static int
parse_plain(struct addr *a, const char *text, int flags)
{
	if (flags & ADDR_ABSTRACT)
		return parse_unix(a, text, ADDR_ABSTRACT_PADDED);
	if (strchr(text, '/') != NULL || ((flags & ADDR_RELATIVE) && strchr(text, ':') == NULL))
		return parse_unix(a, text, ADDR_UNIX);
	return error_message(-EINVAL, "%s: not an address: give %s, or a path with a / in it", text,
	    strchr(text, ':') != NULL ? "tcp:HOST:PORT" : "unix:PATH");
}

int
addr_parse(struct addr *out, const char *text, int flags)
{
	struct addr a = { 0 };
	const char *rest = text;
	int error;

	if (strlcpy(a.text, text, sizeof a.text) >= sizeof a.text)
		return error_message(-ENAMETOOLONG, "%s: too long for an address", a.text);
	if (*text == '\0')
		return error_message(-EINVAL, "an address is empty");
	if (skip_prefix(&rest, "tcp://") || skip_prefix(&rest, "tcp:"))
		error = parse_tcp(&a, rest);
	else if (skip_prefix(&rest, "unix:"))
		error = parse_unix(&a, rest, ADDR_UNIX);
	else if (skip_prefix(&rest, "abstract:"))
		error = parse_unix(&a, rest, ADDR_ABSTRACT_EXACT);
	else if (skip_prefix(&rest, "pipe:"))
		error = parse_pipe(&a, rest);
	else
		error = parse_plain(&a, rest, flags);
	if (error == 0)
		*out = a;
	return error;
}

int
addr_set_path(struct addr *a, const char *path)
{
	return parse_unix(a, path, a->kind);
}
