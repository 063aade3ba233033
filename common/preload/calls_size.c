#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/memfile.h"
#include "common/preload/next.h"
#include "common/preload/state.h"

int calls_ftruncate(int fd, off_t size) CALLS_AS(ftruncate);
CALLS_ALSO_AS(ftruncate64, ftruncate)
off_t calls_lseek(int fd, off_t offset, int whence) CALLS_AS(lseek);
CALLS_ALSO_AS(lseek64, lseek)

/* The first size that is not 0 makes the segment, for as long as the file lives. */
static int
set_size(struct description *d, off_t size)
{
	uint64_t now;
	int error;

	if (size < 0 || (d->flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (size == 0) {
		error = memfile_size(d->file, &now);
		return error == 0 && now != 0 ? -EINVAL : error;
	}
	state_lock_files();
	error = memfile_map(d->file, NULL, (size_t)size);
	state_unlock_files();
	return error;
}

static int __attribute__((noinline)) ftruncate_ours(int fd, off_t size)
{
	struct description *d = description_get(fd);
	int error;

	if (d == NULL)
		return NEXT(ftruncate)(fd, size);
	error = set_size(d, size);
	description_put(d);
	return calls_result(error);
}

int
calls_ftruncate(int fd, off_t size)
{
	return description_has(fd) ? ftruncate_ours(fd, size) : NEXT(ftruncate)(fd, size);
}

/* Returns the new offset or a negative errno. */
static off_t
seek(struct description *d, off_t offset, int whence)
{
	uint64_t size = 0;
	off_t base = 0;
	int error = 0;

	if (whence == SEEK_END)
		error = memfile_size(d->file, &size);
	else if (whence == SEEK_CUR)
		base = d->offset;
	else if (whence != SEEK_SET)
		error = -EINVAL;
	if (error != 0)
		return error;
	if (whence == SEEK_END)
		base = (off_t)size;
	if (__builtin_add_overflow(base, offset, &base))
		return -EOVERFLOW;
	if (base < 0)
		return -EINVAL;
	d->offset = base;
	return base;
}

static off_t __attribute__((noinline)) lseek_ours(int fd, off_t offset, int whence)
{
	struct description *d = description_get(fd);
	off_t result;

	if (d == NULL)
		return NEXT(lseek)(fd, offset, whence);
	result = seek(d, offset, whence);
	description_put(d);
	return result >= 0 ? result : calls_result((int)result);
}

off_t
calls_lseek(int fd, off_t offset, int whence)
{
	return description_has(fd) ? lseek_ours(fd, offset, whence) :
				     NEXT(lseek)(fd, offset, whence);
}
