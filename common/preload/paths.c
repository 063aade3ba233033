#include "common/preload/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/preload/attributes.h"
#include "common/preload/client.h"
#include "common/preload/description.h"
#include "common/preload/ending.h"
#include "common/preload/memfile.h"
#include "common/preload/mountpoints.h"
#include "common/preload/process.h"
#include "common/preload/state.h"

struct found {
	enum mountpoints_place place;
	char path[PATH_MAX];
	bool has_slash; /* behind it, as a directory's path may */
};

/* Returns false when path is not served. */
static bool
look(int dirfd, const char *path, struct found *found)
{
	if ((dirfd != AT_FDCWD && path[0] != '/') || process_is_inside() || !process_is_home())
		return false;
	found->place = mountpoints_find(path, found->path);
	found->has_slash = path[strlen(path) - 1] == '/';
	return found->place != MOUNTPOINTS_ELSEWHERE;
}

static int
open_found(const struct found *found, int flags)
{
	int fd;

	if (found->place == MOUNTPOINTS_AT)
		return -EISDIR;
	if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_PATH) != 0)
		return -EOPNOTSUPP;
	if ((flags & O_DIRECTORY) != 0 || found->has_slash)
		return -ENOTDIR;
	process_enter();
	fd = description_open(found->path, flags);
	if (fd >= 0)
		ending_arm();
	description_leave();
	return fd;
}

bool
paths_open(int dirfd, const char *path, int flags, int *fd)
{
	struct found found;

	if (!look(dirfd, path, &found))
		return false;
	*fd = open_found(&found, flags);
	return true;
}

/* With the mutex of the files: asks through a handle of its own, unless the file is open here. */
static int
find_size(const char *path, uint64_t *size)
{
	struct memfile *f = memfile_first();
	struct sm_stat s = { .size = 0 };
	struct sm_file *handle;
	int error;

	while (f != NULL && (f->is_gone || strcmp(f->path, path) != 0))
		f = f->next;
	if (f != NULL)
		return memfile_size(f, size);
	error = description_prepare(); /* which tells a failure */
	if (error != 0)
		return error;
	error = client_open(&handle, path, 0);
	if (error != 0)
		return memfile_fail(NULL, path, "stat", error);
	error = client_stat(handle, &s);
	(void)client_close(handle);
	*size = s.size;
	return error;
}

static int
find_size_alone(const char *path, uint64_t *size)
{
	int error;

	process_enter();
	state_lock_files();
	error = find_size(path, size);
	state_unlock_files();
	description_leave();
	return error;
}

static int
stat_found(const struct found *found, struct stat *out)
{
	uint64_t size;
	int error;

	if (found->place == MOUNTPOINTS_AT) {
		attributes_of_mount(out, found->path);
		return 0;
	}
	error = found->has_slash ? -ENOTDIR : find_size_alone(found->path, &size);
	if (error == 0)
		attributes_of_file(out, found->path, size);
	return error;
}

bool
paths_stat(int dirfd, const char *path, struct stat *out, int *error)
{
	struct found found;

	if (!look(dirfd, path, &found))
		return false;
	*error = stat_found(&found, out);
	return true;
}

bool
paths_exists(int dirfd, const char *path, int *error)
{
	struct stat st;

	return paths_stat(dirfd, path, &st, error);
}

bool
paths_remove(int dirfd, const char *path, bool is_rmdir, int *error)
{
	struct stat st;

	if (!paths_stat(dirfd, path, &st, error))
		return false;
	if (*error == 0 && S_ISDIR(st.st_mode))
		*error = is_rmdir ? -EBUSY : -EISDIR;
	else if (*error == 0 && is_rmdir)
		*error = -ENOTDIR;
	return true;
}

bool
paths_access(int dirfd, const char *path, int mode, int *error)
{
	struct stat st;

	if (!paths_stat(dirfd, path, &st, error))
		return false;
	if (*error == 0 && !S_ISDIR(st.st_mode) && (mode & X_OK) != 0)
		*error = -EACCES;
	return true;
}
