#include "common/preload/placeholder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "common/preload/next.h"

static atomic_bool lacks_path; /* a placeholder had no O_PATH */

int
placeholder_open(bool is_cloexec)
{
	int cloexec = is_cloexec ? O_CLOEXEC : 0;
	int fd = NEXT(open)("/proc/self", O_PATH | O_NOFOLLOW | cloexec, 0);

	if (fd < 0 && errno != EMFILE && errno != ENFILE)
		fd = NEXT(open)("/", O_RDONLY | O_DIRECTORY | cloexec, 0);
	if (fd < 0)
		return -errno;
	if ((NEXT(fcntl)(fd, F_GETFL, 0) & O_PATH) == 0)
		lacks_path = true;
	return fd;
}

bool
placeholder_is(int fd)
{
	int saved = errno, flags = NEXT(fcntl)(fd, F_GETFL, 0);
	bool is_ours = flags != -1 && (flags & O_PATH) != 0;
	struct stat st;

	if (flags != -1 && !is_ours && lacks_path)
		is_ours = NEXT(fstat)(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
	errno = saved;
	return is_ours;
}
