/*
 * Calls that fail on a memory file with EBADF, as the kernel answers for its placeholder. The first
 * of them in a program writes a line.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/next.h"

/* Returns false when fd is none of ours. */
static bool __attribute__((noinline)) refuse_ours(int fd, const char *what)
{
	struct description *d = description_get(fd);

	if (d == NULL)
		return false;
	description_refuse(d, what);
	description_put(d);
	errno = EBADF;
	return true;
}

static inline bool
refuse(int fd, const char *what)
{
	return description_has(fd) && refuse_ours(fd, what);
}

/* Refuses the descriptor fd among the arguments of a call, or passes them on. */
#define REFUSED(type, name, fd, parameters, arguments) \
	type calls_##name parameters CALLS_AS(name); \
	type calls_##name parameters \
	{ \
		return refuse(fd, #name) ? -1 : NEXT(name) arguments; \
	}

REFUSED(ssize_t, read, fd, (int fd, void *bytes, size_t size), (fd, bytes, size))
REFUSED(ssize_t, write, fd, (int fd, const void *bytes, size_t size), (fd, bytes, size))
REFUSED(ssize_t, pread, fd, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at))
CALLS_ALSO_AS(pread64, pread)
REFUSED(ssize_t, pwrite, fd, (int fd, const void *bytes, size_t size, off_t at),
    (fd, bytes, size, at))
CALLS_ALSO_AS(pwrite64, pwrite)
REFUSED(ssize_t, __read_chk, fd, (int fd, void *bytes, size_t size, size_t room),
    (fd, bytes, size, room))
REFUSED(ssize_t, __pread_chk, fd, (int fd, void *bytes, size_t size, off_t at, size_t room),
    (fd, bytes, size, at, room))
CALLS_ALSO_AS(__pread64_chk, __pread_chk)
REFUSED(ssize_t, readv, fd, (int fd, const struct iovec *list, int count), (fd, list, count))
REFUSED(ssize_t, writev, fd, (int fd, const struct iovec *list, int count), (fd, list, count))
REFUSED(ssize_t, preadv, fd, (int fd, const struct iovec *list, int count, off_t at),
    (fd, list, count, at))
CALLS_ALSO_AS(preadv64, preadv)
REFUSED(ssize_t, pwritev, fd, (int fd, const struct iovec *list, int count, off_t at),
    (fd, list, count, at))
CALLS_ALSO_AS(pwritev64, pwritev)
REFUSED(ssize_t, preadv2, fd, (int fd, const struct iovec *list, int count, off_t at, int flags),
    (fd, list, count, at, flags))
CALLS_ALSO_AS(preadv64v2, preadv2)
REFUSED(ssize_t, pwritev2, fd, (int fd, const struct iovec *list, int count, off_t at, int flags),
    (fd, list, count, at, flags))
CALLS_ALSO_AS(pwritev64v2, pwritev2)
REFUSED(ssize_t, sendfile, description_has(to) ? to : from,
    (int to, int from, off_t *at, size_t size), (to, from, at, size))
CALLS_ALSO_AS(sendfile64, sendfile)
REFUSED(ssize_t, copy_file_range, description_has(to) ? to : from,
    (int from, off_t *at, int to, off_t *to_at, size_t size, unsigned flags),
    (from, at, to, to_at, size, flags))
REFUSED(ssize_t, splice, description_has(to) ? to : from,
    (int from, off_t *at, int to, off_t *to_at, size_t size, unsigned flags),
    (from, at, to, to_at, size, flags))
REFUSED(int, fsync, fd, (int fd), (fd))
REFUSED(int, fdatasync, fd, (int fd), (fd))
REFUSED(int, fallocate, fd, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
CALLS_ALSO_AS(fallocate64, fallocate)
REFUSED(ssize_t, readahead, fd, (int fd, off_t at, size_t size), (fd, at, size))
REFUSED(int, sync_file_range, fd, (int fd, off_t at, off_t size, unsigned flags),
    (fd, at, size, flags))
REFUSED(int, futimens, fd, (int fd, const struct timespec *times), (fd, times))
REFUSED(ssize_t, fgetxattr, fd, (int fd, const char *name, void *value, size_t size),
    (fd, name, value, size))
REFUSED(int, fsetxattr, fd, (int fd, const char *name, const void *value, size_t size, int flags),
    (fd, name, value, size, flags))
REFUSED(ssize_t, flistxattr, fd, (int fd, char *list, size_t size), (fd, list, size))
REFUSED(int, fremovexattr, fd, (int fd, const char *name), (fd, name))

int calls_ioctl(int fd, unsigned long request, void *argument) CALLS_AS(ioctl);
int calls_posix_fallocate(int fd, off_t at, off_t size) CALLS_AS(posix_fallocate);
CALLS_ALSO_AS(posix_fallocate64, posix_fallocate)
int calls_posix_fadvise(int fd, off_t at, off_t size, int advice) CALLS_AS(posix_fadvise);
CALLS_ALSO_AS(posix_fadvise64, posix_fadvise)

int
calls_ioctl(int fd, unsigned long request, void *argument)
{
	return refuse(fd, "ioctl") ? -1 : NEXT(ioctl)(fd, request, argument);
}

/* These two return the error. */
int
calls_posix_fallocate(int fd, off_t at, off_t size)
{
	return refuse(fd, "posix_fallocate") ? EBADF : NEXT(posix_fallocate)(fd, at, size);
}

int
calls_posix_fadvise(int fd, off_t at, off_t size, int advice)
{
	return refuse(fd, "posix_fadvise") ? EBADF : NEXT(posix_fadvise)(fd, at, size, advice);
}
