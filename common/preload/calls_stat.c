#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/preload/attributes.h"
#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/memfile.h"
#include "common/preload/mountpoints.h"
#include "common/preload/next.h"
#include "common/preload/paths.h"

int calls_stat(const char *path, struct stat *out) CALLS_AS(stat);
CALLS_ALSO_AS(stat64, stat)
int calls_lstat(const char *path, struct stat *out) CALLS_AS(lstat);
CALLS_ALSO_AS(lstat64, lstat)
int calls_fstat(int fd, struct stat *out) CALLS_AS(fstat);
CALLS_ALSO_AS(fstat64, fstat)
int calls_fstatat(int dirfd, const char *path, struct stat *out, int flags) CALLS_AS(fstatat);
CALLS_ALSO_AS(fstatat64, fstatat)
int calls_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out)
    CALLS_AS(statx);
int calls_access(const char *path, int mode) CALLS_AS(access);
int calls_faccessat(int dirfd, const char *path, int mode, int flags) CALLS_AS(faccessat);
int calls_eaccess(const char *path, int mode) CALLS_AS(eaccess);
CALLS_ALSO_AS(euidaccess, eaccess)

/* Programs built before glibc 2.33 call these; all versions of the struct are one here. */
int calls_xstat(int version, const char *path, struct stat *out) CALLS_AS(__xstat);
CALLS_ALSO_AS(__xstat64, __xstat)
int calls_lxstat(int version, const char *path, struct stat *out) CALLS_AS(__lxstat);
CALLS_ALSO_AS(__lxstat64, __lxstat)
int calls_fxstat(int version, int fd, struct stat *out) CALLS_AS(__fxstat);
CALLS_ALSO_AS(__fxstat64, __fxstat)
int calls_fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags)
    CALLS_AS(__fxstatat);
CALLS_ALSO_AS(__fxstatat64, __fxstatat)

int
calls_stat(const char *path, struct stat *out)
{
	int error;

	if (mountpoints_may_have(path) && paths_stat(AT_FDCWD, path, out, &error))
		return calls_result(error);
	return NEXT(stat)(path, out);
}

int
calls_lstat(const char *path, struct stat *out)
{
	int error;

	if (mountpoints_may_have(path) && paths_stat(AT_FDCWD, path, out, &error))
		return calls_result(error);
	return NEXT(lstat)(path, out);
}

static int
stat_description(struct description *d, struct stat *out)
{
	uint64_t size;
	int error = memfile_size(d->file, &size);

	if (error == 0)
		attributes_of_file(out, d->file->path, size);
	return error;
}

/* Returns false when fd is none of ours. */
static bool
stat_ours(int fd, struct stat *out, int *error)
{
	struct description *d = description_get(fd);

	if (d == NULL)
		return false;
	*error = stat_description(d, out);
	description_put(d);
	return true;
}

int
calls_fstat(int fd, struct stat *out)
{
	int error;

	if (description_has(fd) && stat_ours(fd, out, &error))
		return calls_result(error);
	return NEXT(fstat)(fd, out);
}

/* The descriptor, or the path, that fstatat(2) and statx(2) are asked about. */
static bool
stat_at(int dirfd, const char *path, int flags, struct stat *out, int *error)
{
	if ((flags & AT_EMPTY_PATH) != 0 && path != NULL && path[0] == '\0')
		return description_has(dirfd) && stat_ours(dirfd, out, error);
	return mountpoints_may_have(path) && paths_stat(dirfd, path, out, error);
}

int
calls_fstatat(int dirfd, const char *path, struct stat *out, int flags)
{
	int error;

	if (stat_at(dirfd, path, flags, out, &error))
		return calls_result(error);
	return NEXT(fstatat)(dirfd, path, out, flags);
}

int
calls_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out)
{
	struct stat st;
	int error;

	if (!stat_at(dirfd, path, flags, &st, &error))
		return NEXT(statx)(dirfd, path, flags, mask, out);
	if (error == 0)
		attributes_extend(out, &st);
	return calls_result(error);
}

int
calls_access(const char *path, int mode)
{
	int error;

	if (mountpoints_may_have(path) && paths_access(AT_FDCWD, path, mode, &error))
		return calls_result(error);
	return NEXT(access)(path, mode);
}

int
calls_eaccess(const char *path, int mode)
{
	int error;

	if (mountpoints_may_have(path) && paths_access(AT_FDCWD, path, mode, &error))
		return calls_result(error);
	return NEXT(eaccess)(path, mode);
}

int
calls_faccessat(int dirfd, const char *path, int mode, int flags)
{
	int error;

	if (mountpoints_may_have(path) && paths_access(dirfd, path, mode, &error))
		return calls_result(error);
	return NEXT(faccessat)(dirfd, path, mode, flags);
}

int
calls_xstat(int version, const char *path, struct stat *out)
{
	(void)version;
	return calls_stat(path, out);
}

int
calls_lxstat(int version, const char *path, struct stat *out)
{
	(void)version;
	return calls_lstat(path, out);
}

int
calls_fxstat(int version, int fd, struct stat *out)
{
	(void)version;
	return calls_fstat(fd, out);
}

int
calls_fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags)
{
	(void)version;
	return calls_fstatat(dirfd, path, out, flags);
}
