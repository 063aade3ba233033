#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <unistd.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/duplicates.h"
#include "common/preload/next.h"

int calls_close(int fd) CALLS_AS(close);
int calls_close_range(unsigned first, unsigned last, int flags) CALLS_AS(close_range);
void calls_closefrom(int first) CALLS_AS(closefrom);
int calls_dup(int fd) CALLS_AS(dup);
int calls_dup2(int from, int to) CALLS_AS(dup2);
int calls_dup3(int from, int to, int flags) CALLS_AS(dup3);

int
calls_close(int fd)
{
	return description_has(fd) ? duplicates_close(fd) : NEXT(close)(fd);
}

int
calls_close_range(unsigned first, unsigned last, int flags)
{
	if (first < (unsigned)description_end() && (flags & CLOSE_RANGE_CLOEXEC) == 0 &&
	    first <= last)
		duplicates_leave_range(first, last);
	return NEXT(close_range)(first, last, flags);
}

void
calls_closefrom(int first)
{
	if (first < description_end())
		duplicates_leave_range(first > 0 ? (unsigned)first : 0, UINT_MAX);
	NEXT(closefrom)(first);
}

int
calls_dup(int fd)
{
	return description_has(fd) ? duplicates_dup(fd, F_DUPFD, 0) : NEXT(dup)(fd);
}

int
calls_dup2(int from, int to)
{
	if ((description_has(from) || description_has(to)) && from != to)
		return duplicates_replace(from, to, 0);
	return NEXT(dup2)(from, to);
}

int
calls_dup3(int from, int to, int flags)
{
	if ((description_has(from) || description_has(to)) && from != to)
		return duplicates_replace(from, to, flags);
	return NEXT(dup3)(from, to, flags);
}
