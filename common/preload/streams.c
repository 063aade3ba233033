#include "common/preload/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/duplicates.h"
#include "common/preload/next.h"
#include "common/preload/paths.h"

enum { MODE_SIZE = 32 };

/* The mode for a stream of what is open: without "x", which would want a new file. */
static const char *
mode_of_open(const char *mode, char out[MODE_SIZE])
{
	size_t n = 0;

	for (; *mode != '\0' && n < MODE_SIZE - 1; mode++)
		if (*mode != 'x')
			out[n++] = *mode;
	out[n] = '\0';
	return out;
}

/* The flags of open(2) for a mode of fopen(3), or -1. */
static int
flags_of(const char *mode)
{
	bool updates = strchr(mode, '+') != NULL;
	int flags = updates ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;

	if (mode[0] == 'w')
		flags |= O_CREAT | O_TRUNC;
	else if (mode[0] == 'a')
		flags |= O_CREAT | O_APPEND;
	else if (mode[0] != 'r')
		return -1;
	flags |= strchr(mode, 'x') != NULL ? O_EXCL : 0;
	return flags | (strchr(mode, 'e') != NULL ? O_CLOEXEC : 0);
}

/* Opens path if it is served. Returns false when it is not; *fd is -1 with errno on failure. */
static bool
open_served(const char *path, const char *mode, int *fd)
{
	int flags = flags_of(mode);

	if (flags == -1 || !paths_open(AT_FDCWD, path, flags, fd))
		return false;
	if (*fd < 0)
		*fd = calls_result(*fd);
	return true;
}

/* A stream of nothing, whose number is then fd; fd stays open only in it. */
static FILE *
make(int fd, const char *mode)
{
	char plain[MODE_SIZE];
	FILE *stream = NEXT(fopen)("/dev/null", mode_of_open(mode, plain));

	if (stream != NULL) {
		(void)NEXT(close)(stream->_fileno);
		stream->_fileno = fd;
	}
	return stream;
}

bool
streams_open(const char *path, const char *mode, FILE **out)
{
	int fd;

	if (!open_served(path, mode, &fd))
		return false;
	*out = fd >= 0 ? make(fd, mode) : NULL;
	if (*out == NULL && fd >= 0)
		(void)duplicates_close(fd);
	return true;
}

bool
streams_reopen(const char *path, const char *mode, FILE *stream, FILE **out)
{
	char plain[MODE_SIZE];
	int fd, cloexec = strchr(mode, 'e') != NULL ? O_CLOEXEC : 0;

	if (!open_served(path, mode, &fd))
		return false;
	*out = NULL;
	if (fd >= 0)
		*out = NEXT(freopen)("/dev/null", mode_of_open(mode, plain), stream);
	else
		(void)NEXT(fclose)(stream);
	if (*out != NULL && duplicates_replace(fd, fileno(*out), cloexec) == -1) {
		(void)NEXT(fclose)(*out);
		*out = NULL;
	}
	if (fd >= 0)
		(void)duplicates_close(fd);
	return true;
}

bool
streams_attach(int fd, const char *mode, FILE **out)
{
	struct description *d = description_get(fd);
	int wanted = flags_of(mode), access;

	if (d == NULL)
		return false;
	access = d->flags & O_ACCMODE;
	description_put(d);
	*out = NULL;
	if (wanted == -1 || (access != O_RDWR && access != (wanted & O_ACCMODE)))
		errno = EINVAL;
	else
		*out = make(fd, mode);
	return true;
}
