/*
 * mountpoints: which paths are memory files: those below the mount points of the mount file that
 * the environment variable SM_CONF names.
 *
 * The mount file is read once, at the start of the program or at its first call, whichever comes
 * first: with bare system calls, and without the client library, which reads all of it at the first
 * use of a mount, and refuses a file with a fault as a whole. This module takes only the mount
 * points, from faulty lines too (mountwords.h): a call on a path below one of these then fails
 * instead of reaching the host's file.
 * A path is compared as text: symbolic links are not followed, and ".." takes the component before
 * it away. A relative path begins at the working directory, which is asked for again after each
 * change of it.
 *
 * Read from its begin, or a relative path from its leading "../", a path has to follow a mount
 * point: ".." behind a component that is none of the point's at that place leads elsewhere, as
 * "/tmp/../shared/f" does, though the kernel has nothing there. Behind the point, or when the path
 * begins as "/./" or "//", any ".." is taken away. To find such a ".." all of the path would have
 * to be read: with strstr(3) open(2) of a path of 47 bytes takes 76 instructions more than the 52
 * that this library costs it and its close(2), which shall be 80 at most.
 *
 * mountpoints_may_have() is in front of every call with a path, and so costs little: a load and a
 * test without SM_CONF, and two looks into tables for most paths elsewhere.
 */
#ifndef COMMON_PRELOAD_MOUNTPOINTS_H
#define COMMON_PRELOAD_MOUNTPOINTS_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOUNTPOINTS_MOST = 32, MOUNTPOINTS_SIZE = 16384 }; /* in all, each with a NUL */

enum mountpoints_state {
	MOUNTPOINTS_UNREAD,
	MOUNTPOINTS_NONE,
	MOUNTPOINTS_SOME,
};

enum mountpoints_place {
	MOUNTPOINTS_ELSEWHERE,
	MOUNTPOINTS_AT,    /* the mount point itself */
	MOUNTPOINTS_BELOW, /* a memory file */
};

extern atomic_int mountpoints_state;

/*
 * For each byte that may come first and second behind the slash of an absolute path: a bit for each
 * mount point that has it there, and one for paths such as "//shared" and "/./shared".
 */
extern uint64_t mountpoints_first[UCHAR_MAX + 1], mountpoints_second[UCHAR_MAX + 1];

/* True unless path is certainly elsewhere, or has ".." where the text above says. */
bool mountpoints_compare(const char *path);

static inline bool
mountpoints_may_have(const char *path)
{
	const unsigned char *p = (const unsigned char *)path;
	int state = atomic_load_explicit(&mountpoints_state, memory_order_acquire);

	if (state == MOUNTPOINTS_NONE || p == NULL)
		return false;
	if (state == MOUNTPOINTS_SOME && p[0] == '/' &&
	    (mountpoints_first[p[1]] == 0 ||
		(mountpoints_first[p[1]] & mountpoints_second[p[2]]) == 0))
		return false;
	return mountpoints_compare(path);
}

/* Reads the mount file, unless that has been done. */
void mountpoints_read(void);

/* Says where path is. Unless elsewhere, out is path without ".", ".." and repeated slashes. */
enum mountpoints_place mountpoints_find(const char *path, char out[PATH_MAX]);

/* The working directory or the root has changed. */
void mountpoints_forget_directory(void);

/* The absolute path of the mount file. */
const char *mountpoints_file(void);

#endif
