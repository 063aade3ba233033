#include "deploy/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "deploy/lines.h"

/* Writes all and closes the stream. */
static int
write_stream(FILE *to, const struct lines *l)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (fprintf(to, "%s\n", l->at[i]) < 0)
			break;
	if (fflush(to) != 0 || ferror(to)) {
		int error = errno == 0 ? -EIO : -errno;

		(void)fclose(to);
		return error;
	}
	return fclose(to) == 0 ? 0 : -errno;
}

/* Writes to the new file of that name, and renames it. */
static int
write_beside(int fd, const char *name, const char *path, const struct lines *l)
{
	mode_t mask = umask(0);
	FILE *to;
	int error;

	(void)umask(mask);
	to = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "w") : NULL;
	if (to == NULL) {
		error = -errno;
		(void)close(fd);
		return error;
	}
	error = write_stream(to, l);
	if (error == 0 && rename(name, path) != 0)
		error = -errno;
	return error;
}

/* Another kind of file is not to be replaced: a terminal, say, that /dev/stdout leads to. */
static bool
is_replaceable(const char *path)
{
	struct stat st;

	return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}

int
outfile_write(const char *path, const struct lines *l)
{
	char *name;
	int fd, error;

	if (path == NULL) {
		error = write_stream(stdout, l);
		return error == 0 ?
		    0 :
		    error_message(error, "standard output: %s", error_string(error));
	}
	if (!is_replaceable(path))
		return error_message(-EINVAL, "%s: it is no regular file", path);
	if (asprintf(&name, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(name, O_CLOEXEC);
	error = fd < 0 ? -errno : write_beside(fd, name, path, l);
	if (error != 0 && fd >= 0)
		(void)unlink(name);
	free(name);
	return error == 0 ? 0 : error_message(error, "%s: %s", path, error_string(error));
}
