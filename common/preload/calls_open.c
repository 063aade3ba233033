#include <fcntl.h>

#include "common/preload/calls.h"
#include "common/preload/mountpoints.h"
#include "common/preload/next.h"
#include "common/preload/paths.h"

int calls_open(const char *path, int flags, mode_t mode) CALLS_AS(open);
CALLS_ALSO_AS(open64, open)
int calls_openat(int dirfd, const char *path, int flags, mode_t mode) CALLS_AS(openat);
CALLS_ALSO_AS(openat64, openat)
int calls_creat(const char *path, mode_t mode) CALLS_AS(creat);
CALLS_ALSO_AS(creat64, creat)

/* Programs that were compiled with _FORTIFY_SOURCE call these when they pass no mode. */
int calls_open_2(const char *path, int flags) CALLS_AS(__open_2);
CALLS_ALSO_AS(__open64_2, __open_2)
int calls_openat_2(int dirfd, const char *path, int flags) CALLS_AS(__openat_2);
CALLS_ALSO_AS(__openat64_2, __openat_2)

/* The descriptor, or -1 and errno. */
static int
result_of(int fd)
{
	return fd >= 0 ? fd : calls_result(fd);
}

static int __attribute__((noinline))
open_perhaps(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (paths_open(dirfd, path, flags, &fd))
		return result_of(fd);
	return NEXT(openat)(dirfd, path, flags, mode);
}

int
calls_open(const char *path, int flags, mode_t mode)
{
	if (mountpoints_may_have(path))
		return open_perhaps(AT_FDCWD, path, flags, mode);
	return NEXT(open)(path, flags, mode);
}

int
calls_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	if (mountpoints_may_have(path))
		return open_perhaps(dirfd, path, flags, mode);
	return NEXT(openat)(dirfd, path, flags, mode);
}

int
calls_creat(const char *path, mode_t mode)
{
	return calls_open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int
calls_open_2(const char *path, int flags)
{
	return calls_open(path, flags, 0);
}

int
calls_openat_2(int dirfd, const char *path, int flags)
{
	return calls_openat(dirfd, path, flags, 0);
}
