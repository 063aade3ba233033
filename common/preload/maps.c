#include "common/preload/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/preload/client.h"
#include "common/preload/description.h"
#include "common/preload/memfile.h"
#include "common/preload/next.h"
#include "common/preload/owner.h"
#include "common/preload/process.h"
#include "common/preload/state.h"

/* Checks that the descriptor is open for what mmap(2) would do. */
static int
check_access(const struct description *d, int protection, bool is_shared)
{
	int access = d->flags & O_ACCMODE;

	if (access == O_WRONLY)
		return -EACCES;
	return is_shared && (protection & PROT_WRITE) != 0 && access != O_RDWR ? -EACCES : 0;
}

static size_t
round_to_page(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/* With the mutex of the files: the segment is mapped, and has room for size bytes. */
static int
map_segment(struct memfile *f, void *hint, size_t size)
{
	int error = memfile_map(f, hint, 0);

	/* No segment yet: the mapping makes it. */
	if (error == -EINVAL)
		error = memfile_map(f, hint, size);
	if (error == 0 && size > round_to_page(f->size))
		error = -ENXIO;
	return error;
}

/* True when the process has the lock: one more handle would wait behind those that wait for it. */
static bool
has_lock(const struct memfile *f)
{
	const struct owner *o;
	bool has = false;

	state_lock();
	for (o = f->owners; o != NULL; o = o->next)
		has |= o->held != 0;
	state_unlock();
	return has;
}

/* Copies the segment as it was published last, or as a process that holds the lock has it. */
static int
copy_bytes(struct memfile *f, void *copy, size_t size)
{
	struct sm_file *handle = NULL;
	bool has = has_lock(f);
	int error = 0;

	if (!has) {
		state_lock_files();
		error = client_open(&handle, f->path, SM_OPEN_CREATE);
		state_unlock_files();
	}
	if (error == 0 && !has)
		error = client_acquire(handle, SM_READ | SM_INTERRUPTIBLE);
	if (error == 0)
		memcpy(copy, f->base, size < f->size ? size : f->size);
	if (handle == NULL)
		return error;
	state_lock_files();
	(void)client_close(handle);
	state_unlock_files();
	return error;
}

static int
copy_segment(struct memfile *f, void *hint, size_t size, int protection, int flags, void **out)
{
	void *copy = NEXT(mmap)(hint, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
	int error;

	if (copy == MAP_FAILED)
		return -errno;
	error = memfile_fail(f, f->path, "copy", copy_bytes(f, copy, size));
	if (error == 0 && NEXT(mprotect)(copy, size, protection) != 0)
		error = -errno;
	if (error != 0)
		(void)NEXT(munmap)(copy, size);
	else
		*out = copy;
	return error;
}

/* With the mutex of the files: one more mapping of the replica. */
static int
share_segment(struct memfile *f, const void *hint, size_t size, int flags, void **out)
{
	if ((flags & MAP_FIXED) != 0 && f->base != hint)
		return -ENOTSUP;
	if (f->maps == 0 || size < f->least_mapped)
		f->least_mapped = size;
	f->maps++;
	f->users++;
	*out = f->base;
	return 0;
}

int
maps_add(struct description *d, void *hint, size_t size, int protection, int flags, off_t offset,
    void **out)
{
	bool is_shared = (flags & MAP_TYPE) != MAP_PRIVATE;
	int error = check_access(d, protection, is_shared);

	if (error != 0)
		return error;
	if (size == 0)
		return -EINVAL;
	/* Nothing may take the place of a replica, whose bytes would be published. */
	if (offset != 0 ||
	    (!is_shared && (flags & MAP_FIXED) != 0 && memfile_is_mapped_at(hint, size)))
		return -ENOTSUP;
	state_lock_files();
	error = map_segment(d->file, hint, size);
	if (error == 0 && is_shared)
		error = share_segment(d->file, hint, round_to_page(size), flags, out);
	state_unlock_files();
	if (error == 0 && !is_shared)
		error = copy_segment(d->file, hint, size, protection, flags, out);
	return error;
}

int
maps_remove(const void *address, size_t size)
{
	struct memfile *f;
	int error = -EINVAL;

	state_lock_files();
	f = memfile_mapped_at(address, size);
	if (f != NULL && f->base == address && f->maps > 0 &&
	    round_to_page(size) >= f->least_mapped) {
		f->maps--;
		error = owner_put_file(f);
	}
	state_unlock_files();
	return error;
}
