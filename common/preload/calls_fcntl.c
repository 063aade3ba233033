#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/duplicates.h"
#include "common/preload/locks.h"
#include "common/preload/next.h"

enum { SETTABLE = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK };

int calls_fcntl(int fd, int command, void *argument) CALLS_AS(fcntl);
CALLS_ALSO_AS(fcntl64, fcntl)
int calls_flock(int fd, int operation) CALLS_AS(flock);
int calls_lockf(int fd, int command, off_t length) CALLS_AS(lockf);
CALLS_ALSO_AS(lockf64, lockf)

/* The flags that fcntl(2) can set; the kernel would refuse them for a placeholder. */
static int
set_flags(struct description *d, int flags)
{
	d->flags = (d->flags & ~SETTABLE) | (flags & SETTABLE);
	return 0;
}

static int
serve(struct description *d, int fd, int command, void *argument)
{
	if (locks_is_command(command))
		return calls_result(locks_fcntl(d, command, argument));
	if (command == F_GETFL)
		return d->flags;
	if (command == F_SETFL)
		return set_flags(d, (int)(intptr_t)argument);
	if (command == F_GETFD || command == F_SETFD)
		return NEXT(fcntl)(fd, command, argument);
	description_refuse(d, "fcntl");
	return calls_result(-EBADF);
}

static int __attribute__((noinline)) fcntl_of_ours(int fd, int command, void *argument)
{
	struct description *d;
	int result;

	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return duplicates_dup(fd, command, (int)(intptr_t)argument);
	d = locks_is_command(command) ? description_get_fast(fd) : description_get(fd);
	if (d == NULL)
		return NEXT(fcntl)(fd, command, argument);
	result = serve(d, fd, command, argument);
	description_put(d);
	return result;
}

int
calls_fcntl(int fd, int command, void *argument)
{
	if (description_has(fd))
		return fcntl_of_ours(fd, command, argument);
	return NEXT(fcntl)(fd, command, argument);
}

static int __attribute__((noinline)) flock_of_ours(int fd, int operation)
{
	struct description *d = description_get_fast(fd);
	int error;

	if (d == NULL)
		return NEXT(flock)(fd, operation);
	error = locks_flock(d, operation);
	description_put(d);
	return calls_result(error);
}

int
calls_flock(int fd, int operation)
{
	return description_has(fd) ? flock_of_ours(fd, operation) : NEXT(flock)(fd, operation);
}

static int __attribute__((noinline)) lockf_of_ours(int fd, int command, off_t length)
{
	struct description *d = description_get_fast(fd);
	int error;

	if (d == NULL)
		return NEXT(lockf)(fd, command, length);
	error = locks_lockf(d, command, length);
	description_put(d);
	return calls_result(error);
}

int
calls_lockf(int fd, int command, off_t length)
{
	return description_has(fd) ? lockf_of_ours(fd, command, length) :
				     NEXT(lockf)(fd, command, length);
}
