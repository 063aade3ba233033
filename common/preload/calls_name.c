#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/mountpoints.h"
#include "common/preload/next.h"
#include "common/preload/paths.h"
#include "common/preload/process.h"

int calls_unlink(const char *path) CALLS_AS(unlink);
int calls_unlinkat(int dirfd, const char *path, int flags) CALLS_AS(unlinkat);
int calls_rmdir(const char *path) CALLS_AS(rmdir);
int calls_remove(const char *path) CALLS_AS(remove);
int calls_chmod(const char *path, mode_t mode) CALLS_AS(chmod);
int calls_fchmod(int fd, mode_t mode) CALLS_AS(fchmod);
int calls_fchmodat(int dirfd, const char *path, mode_t mode, int flags) CALLS_AS(fchmodat);
int calls_chown(const char *path, uid_t user, gid_t group) CALLS_AS(chown);
int calls_lchown(const char *path, uid_t user, gid_t group) CALLS_AS(lchown);
int calls_fchown(int fd, uid_t user, gid_t group) CALLS_AS(fchown);
int calls_fchownat(int dirfd, const char *path, uid_t user, gid_t group, int flags)
    CALLS_AS(fchownat);
int calls_chdir(const char *path) CALLS_AS(chdir);
int calls_fchdir(int fd) CALLS_AS(fchdir);
int calls_chroot(const char *path) CALLS_AS(chroot);

int
calls_unlink(const char *path)
{
	int error;

	if (mountpoints_may_have(path) && paths_remove(AT_FDCWD, path, false, &error))
		return calls_result(error);
	return NEXT(unlink)(path);
}

int
calls_unlinkat(int dirfd, const char *path, int flags)
{
	int error;

	if (mountpoints_may_have(path) &&
	    paths_remove(dirfd, path, (flags & AT_REMOVEDIR) != 0, &error))
		return calls_result(error);
	return NEXT(unlinkat)(dirfd, path, flags);
}

int
calls_rmdir(const char *path)
{
	int error;

	if (mountpoints_may_have(path) && paths_remove(AT_FDCWD, path, true, &error))
		return calls_result(error);
	return NEXT(rmdir)(path);
}

/* unlink(2) or, of a directory, rmdir(2). */
int
calls_remove(const char *path)
{
	int error;

	if (mountpoints_may_have(path) && paths_remove(AT_FDCWD, path, false, &error))
		return error == -EISDIR ? calls_rmdir(path) : calls_result(error);
	return NEXT(remove)(path);
}

/*
 * The rights of a memory file are those of the mount: giving it another owner or mode has no
 * effect, and fails when there is no such file.
 */

int
calls_chmod(const char *path, mode_t mode)
{
	int error;

	if (mountpoints_may_have(path) && paths_exists(AT_FDCWD, path, &error))
		return calls_result(error);
	return NEXT(chmod)(path, mode);
}

int
calls_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	int error;

	if (mountpoints_may_have(path) && paths_exists(dirfd, path, &error))
		return calls_result(error);
	return NEXT(fchmodat)(dirfd, path, mode, flags);
}

int
calls_chown(const char *path, uid_t user, gid_t group)
{
	int error;

	if (mountpoints_may_have(path) && paths_exists(AT_FDCWD, path, &error))
		return calls_result(error);
	return NEXT(chown)(path, user, group);
}

int
calls_lchown(const char *path, uid_t user, gid_t group)
{
	int error;

	if (mountpoints_may_have(path) && paths_exists(AT_FDCWD, path, &error))
		return calls_result(error);
	return NEXT(lchown)(path, user, group);
}

int
calls_fchownat(int dirfd, const char *path, uid_t user, gid_t group, int flags)
{
	int error;

	if (mountpoints_may_have(path) && paths_exists(dirfd, path, &error))
		return calls_result(error);
	return NEXT(fchownat)(dirfd, path, user, group, flags);
}

/* True when fd is a memory file's. */
static int
is_ours(int fd)
{
	struct description *d = description_get(fd);

	if (d != NULL)
		description_put(d);
	return d != NULL;
}

int
calls_fchmod(int fd, mode_t mode)
{
	return description_has(fd) && is_ours(fd) ? 0 : NEXT(fchmod)(fd, mode);
}

int
calls_fchown(int fd, uid_t user, gid_t group)
{
	return description_has(fd) && is_ours(fd) ? 0 : NEXT(fchown)(fd, user, group);
}

/* A child of vfork(2) has a directory of its own; its parent then asks for the same one again. */
int
calls_chdir(const char *path)
{
	int result = NEXT(chdir)(path);

	mountpoints_forget_directory();
	return result;
}

int
calls_fchdir(int fd)
{
	int result = NEXT(fchdir)(fd);

	mountpoints_forget_directory();
	return result;
}

int
calls_chroot(const char *path)
{
	int result = NEXT(chroot)(path);

	mountpoints_forget_directory();
	return result;
}
