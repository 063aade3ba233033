#include "common/base/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/error.h"

static int lost; /* the first failure of standard output */

void
standard_hold(void)
{
	int fd;

	do
		fd = open("/dev/null", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

int
standard_flush(void)
{
	errno = 0;
	if (lost == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		lost = errno != 0 ? -errno : -EIO;
	return lost == 0 ? 0 : error_message(lost, "standard output: %s", error_string(lost));
}

int
standard_finish(const char *name, int status)
{
	if (standard_flush() == 0)
		return status;
	(void)fprintf(stderr, "%s: %s\n", name, error_text());
	return EXIT_FAILURE;
}
