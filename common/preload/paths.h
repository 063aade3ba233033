/*
 * paths: calls with the path of a memory file.
 *
 * Each function returns false when the path is not served here: it is elsewhere, or the call comes
 * from within one of ours, or from a process that may not use the tables (process.h). Otherwise
 * *error is 0 or a negative errno. A file exists while a process has it open (ENOENT otherwise), a
 * mount point always. A relative path that begins at another open directory than the working
 * directory is not served.
 */
#ifndef COMMON_PRELOAD_PATHS_H
#define COMMON_PRELOAD_PATHS_H

#include <stdbool.h>
#include <sys/stat.h>

/* open(2): *fd is the descriptor, or a negative errno. */
bool paths_open(int dirfd, const char *path, int flags, int *fd);

bool paths_stat(int dirfd, const char *path, struct stat *out, int *error);

/* access(2), for the modes R_OK, W_OK and X_OK. */
bool paths_access(int dirfd, const char *path, int mode, int *error);

/* *error is 0 when it exists. */
bool paths_exists(int dirfd, const char *path, int *error);

/*
 * unlink(2), or rmdir(2): a memory file goes by itself, so that removing its name has no effect.
 * *error is -EISDIR, -ENOTDIR or, for a mount point and rmdir(2), -EBUSY.
 */
bool paths_remove(int dirfd, const char *path, bool is_rmdir, int *error);

#endif
