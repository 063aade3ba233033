#include "common/preload/duplicates.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "common/preload/description.h"
#include "common/preload/next.h"

/* fd leaves the tables, if it is there. Returns 0 or the error of publishing. */
static int
leave(int fd)
{
	struct description *d = description_get(fd);
	int error = 0;

	if (d != NULL) {
		error = description_close(fd);
		description_put(d);
	}
	return error;
}

int
duplicates_close(int fd)
{
	int error = leave(fd), result = NEXT(close)(fd);

	description_note_change();
	if (result == 0 && error != 0) {
		errno = -error;
		result = -1;
	}
	return result;
}

void
duplicates_leave_range(unsigned first, unsigned last)
{
	unsigned end = (unsigned)description_end(), fd;

	for (fd = first; fd < end && fd <= last; fd++)
		if (description_has((int)fd))
			(void)leave((int)fd);
}

/* copy is a new number of d, or -1. */
static int
add(struct description *d, int copy)
{
	int error = copy >= 0 ? description_add(d, copy) : 0;

	if (error == 0)
		return copy;
	(void)NEXT(close)(copy);
	errno = -error;
	return -1;
}

int
duplicates_dup(int fd, int command, int lowest)
{
	struct description *d = description_get(fd);
	int copy = NEXT(fcntl)(fd, command, lowest);

	if (d == NULL)
		return copy;
	copy = add(d, copy);
	description_put(d);
	return copy;
}

int
duplicates_replace(int from, int to, int flags)
{
	struct description *d;
	int copy;

	/* The kernel closes nothing when it refuses. */
	if (NEXT(fcntl)(from, F_GETFD, 0) == -1)
		return -1;
	(void)leave(to);
	d = description_get(from);
	copy = NEXT(dup3)(from, to, flags);
	description_note_change();
	if (d == NULL)
		return copy;
	copy = add(d, copy);
	description_put(d);
	return copy;
}
