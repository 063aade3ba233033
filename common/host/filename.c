#include "common/host/filename.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/error.h"

static bool
is_equal(const char *name, size_t size, const char *other)
{
	return size == strlen(other) && memcmp(name, other, size) == 0;
}

static bool
has_suffix(const char *name, size_t size)
{
	const size_t suffix = sizeof FILENAME_SUFFIX - 1;

	return size > suffix && memcmp(name + size - suffix, FILENAME_SUFFIX, suffix) == 0;
}

int
filename_check(const char *name, size_t size)
{
	if (size >= FILENAME_LIMIT)
		return error_message(-ENAMETOOLONG, "%.*s: the name is too long", (int)size, name);
	if (name[0] != '/' || memchr(name + 1, '/', size - 1) != NULL || has_suffix(name, size))
		return error_message(-EINVAL,
		    "%.*s: a name begins with its only / and does not end in " FILENAME_SUFFIX,
		    (int)size, name);
	if (is_equal(name, size, "/") || is_equal(name, size, "/.") || is_equal(name, size, "/.."))
		return error_message(-EINVAL, "%.*s: not a name of a file", (int)size, name);
	return 0;
}

void
filename_segment(char out[FILENAME_SEGMENT_SIZE], const char *name)
{
	snprintf(out, FILENAME_SEGMENT_SIZE, "%s" FILENAME_SUFFIX, name);
}
