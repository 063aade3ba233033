#include "common/base/wholefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/base/highfd.h"

int
wholefile_read(const char *path, void *out, size_t room, size_t *size)
{
	int fd = highfd(open(path, O_RDONLY | O_CLOEXEC)), error = 0;
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (used < room && n != 0 && error == 0) {
		n = read(fd, (uint8_t *)out + used, room - used);
		if (n > 0)
			used += (size_t)n;
		else if (n < 0 && errno != EINTR)
			error = -errno;
	}
	(void)close(fd);
	if (error == 0)
		*size = used;
	return error;
}
