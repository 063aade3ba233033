#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "common/preload/calls.h"
#include "common/preload/description.h"
#include "common/preload/maps.h"
#include "common/preload/next.h"
#include "common/preload/process.h"

void *calls_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
    CALLS_AS(mmap);
CALLS_ALSO_AS(mmap64, mmap)
int calls_munmap(void *address, size_t size) CALLS_AS(munmap);
void *calls_mremap(void *address, size_t size, size_t new_size, int flags, void *new_address)
    CALLS_AS(mremap);
int calls_mprotect(void *address, size_t size, int protection) CALLS_AS(mprotect);
int calls_madvise(void *address, size_t size, int advice) CALLS_AS(madvise);
int calls_msync(void *address, size_t size, int flags) CALLS_AS(msync);

static void *
fail(int error)
{
	errno = -error;
	return MAP_FAILED;
}

static void *__attribute__((noinline))
map_ours(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	struct description *d = description_get(fd);
	void *base = NULL;
	int error;

	if (d == NULL)
		return NEXT(mmap)(address, size, protection, flags, fd, offset);
	error = maps_add(d, address, size, protection, flags, offset, &base);
	description_put(d);
	return error == 0 ? base : fail(error);
}

void *
calls_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && (flags & MAP_ANONYMOUS) == 0 && description_has(fd))
		return map_ours(address, size, protection, flags, fd, offset);
	/* Nothing else may take the place of a replica, whose bytes would be published. */
	if ((flags & MAP_FIXED) != 0 && maps_has(address, size))
		return fail(-ENOTSUP);
	return NEXT(mmap)(address, size, protection, flags, fd, offset);
}

int
calls_munmap(void *address, size_t size)
{
	int error;

	if (!maps_has(address, size))
		return NEXT(munmap)(address, size);
	process_enter();
	error = maps_remove(address, size);
	description_leave();
	return calls_result(error);
}

void *
calls_mremap(void *address, size_t size, size_t new_size, int flags, void *new_address)
{
	if (maps_has(address, size) ||
	    ((flags & MREMAP_FIXED) != 0 && maps_has(new_address, new_size)))
		return fail(-ENOTSUP);
	return NEXT(mremap)(address, size, new_size, flags, new_address);
}

/* The library writes what other processes publish, whatever the program may do. */
int
calls_mprotect(void *address, size_t size, int protection)
{
	return maps_has(address, size) ? 0 : NEXT(mprotect)(address, size, protection);
}

/* Advice that takes pages away would be published as zeros. */
int
calls_madvise(void *address, size_t size, int advice)
{
	if (!maps_has(address, size))
		return NEXT(madvise)(address, size, advice);
	if (advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == MADV_FREE)
		return calls_result(-ENOTSUP);
	return 0;
}

/* Unlocking publishes. */
int
calls_msync(void *address, size_t size, int flags)
{
	return maps_has(address, size) ? 0 : NEXT(msync)(address, size, flags);
}
