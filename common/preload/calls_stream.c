#include <stdio.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/duplicates.h"
#include "common/preload/mountpoints.h"
#include "common/preload/next.h"
#include "common/preload/streams.h"

FILE *calls_fopen(const char *path, const char *mode) CALLS_AS(fopen);
CALLS_ALSO_AS(fopen64, fopen)
FILE *calls_freopen(const char *path, const char *mode, FILE *stream) CALLS_AS(freopen);
CALLS_ALSO_AS(freopen64, freopen)
FILE *calls_fdopen(int fd, const char *mode) CALLS_AS(fdopen);
int calls_fclose(FILE *stream) CALLS_AS(fclose);

FILE *
calls_fopen(const char *path, const char *mode)
{
	FILE *stream;

	if (mountpoints_may_have(path) && streams_open(path, mode, &stream))
		return stream;
	return NEXT(fopen)(path, mode);
}

/* The C library closes the descriptor itself: it leaves the tables here, and the kernel there. */
static void
leave(FILE *stream)
{
	int fd = fileno_unlocked(stream);

	if (description_has(fd))
		duplicates_leave_range((unsigned)fd, (unsigned)fd);
}

FILE *
calls_freopen(const char *path, const char *mode, FILE *stream)
{
	FILE *again;

	leave(stream);
	if (mountpoints_may_have(path) && streams_reopen(path, mode, stream, &again))
		return again;
	return NEXT(freopen)(path, mode, stream);
}

FILE *
calls_fdopen(int fd, const char *mode)
{
	FILE *stream;

	if (description_has(fd) && streams_attach(fd, mode, &stream))
		return stream;
	return NEXT(fdopen)(fd, mode);
}

int
calls_fclose(FILE *stream)
{
	leave(stream);
	return NEXT(fclose)(stream);
}
