#include "common/base/highfd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
highfd(int fd)
{
	int copy, error;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	error = errno;
	(void)close(fd);
	errno = error;
	return copy;
}

int
highfd_pair(int fds[2])
{
	int error, i;

	for (i = 0; i < 2; i++)
		fds[i] = highfd(fds[i]);
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	error = errno;
	for (i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	errno = error;
	return -1;
}
