#include "bench/section.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"

/* --- memory files ------------------------------------------------------- */

struct mounted {
	struct sm *sm;
	struct sm_file *mem;
	struct sm_file *lock;
	void *memory;
};

static int
mounted_lock(void *place)
{
	return sm_lock(((struct mounted *)place)->lock) == 0 ? 0 : -errno;
}

static int
mounted_unlock(void *place)
{
	return sm_unlock(((struct mounted *)place)->lock) == 0 ? 0 : -errno;
}

static int
mounted_hint(void *place, size_t offset, size_t length)
{
	return sm_dirty(((struct mounted *)place)->mem, offset, length) == 0 ? 0 : -errno;
}

static void
mounted_close(void *arg)
{
	struct mounted *place = arg;

	if (place == NULL)
		return;
	if (place->memory != NULL)
		sm_unmap(place->sm, place->memory);
	if (place->mem != NULL)
		sm_close(place->mem);
	if (place->lock != NULL)
		sm_close(place->lock);
	free(place);
}

static const struct section_ops mounted_ops = { mounted_lock, mounted_unlock, mounted_hint,
	mounted_close };

int
section_find_mount(struct sm *sm, const char *path, bool *is_mounted)
{
	char prefix[PATH_MAX];
	const char *end = path;
	int error;

	/* From the root on, up to a mount point, which cannot be opened: so no file is. */
	for (;; end += 1 + strcspn(end + 1, "/")) {
		(void)snprintf(prefix, sizeof prefix, "%.*s", end > path ? (int)(end - path) : 1,
		    path);
		error = sm_open_flags(sm, prefix, 0) == NULL ? -errno : 0;
		if (error == -EISDIR || *end == '\0')
			break;
	}
	if (error != -ENOENT && error != -EISDIR)
		return error;
	*is_mounted = error == -EISDIR;
	return 0;
}

int
section_open_mounted(struct section *out, struct sm *sm, const char *mempath, const char *lockpath,
    size_t size)
{
	int error = 0;
	struct mounted *place = calloc(1, sizeof *place);

	if (place == NULL)
		return -ENOMEM;
	place->sm = sm;
	if ((place->mem = sm_open(sm, mempath)) == NULL ||
	    (place->lock = sm_open(sm, lockpath)) == NULL) {
		error = -errno;
		goto out;
	}
	if (size > 0 && (place->memory = sm_map(place->mem, NULL, size)) == NULL) {
		error = -errno;
		goto out;
	}
	*out = (struct section){ .ops = &mounted_ops,
		.place = place,
		.memory = place->memory,
		.size = size };
	place = NULL;
out:
	mounted_close(place);
	return error;
}

/* --- plain files -------------------------------------------------------- */

struct plain {
	void *memory; /* NULL: none */
	size_t size;
	int fd;      /* of the lock file */
	int command; /* of fcntl(2) */
};

static int
set_lock(const struct plain *place, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	while (fcntl(place->fd, place->command, &lock) == -1)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int
plain_lock(void *place)
{
	return set_lock(place, F_WRLCK);
}

static int
plain_unlock(void *place)
{
	return set_lock(place, F_UNLCK);
}

static void
plain_close(void *arg)
{
	struct plain *place = arg;

	if (place == NULL)
		return;
	if (place->memory != NULL)
		munmap(place->memory, place->size);
	if (place->fd != -1)
		close(place->fd);
	free(place);
}

static const struct section_ops plain_ops = { plain_lock, plain_unlock, NULL, plain_close };

static int
map_file(struct plain *place, const char *path)
{
	int error = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	struct stat st;
	void *memory;

	if (fd == -1)
		return -errno;
	if (fstat(fd, &st) == -1 ||
	    (S_ISREG(st.st_mode) && (uint64_t)st.st_size < place->size &&
		ftruncate(fd, (off_t)place->size) == -1) ||
	    (memory = mmap(NULL, place->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
		MAP_FAILED)
		error = -errno;
	else
		place->memory = memory;
	close(fd);
	return error;
}

int
section_open_plain(struct section *out, const char *mempath, const char *lockpath, size_t size,
    bool is_threaded)
{
	int error = 0;
	struct plain *place = calloc(1, sizeof *place);

	if (place == NULL)
		return -ENOMEM;
	place->size = size;
	place->fd = -1;
	place->command = is_threaded ? F_OFD_SETLKW : F_SETLKW;
	/* Map first: closing a descriptor of a file drops this process's record locks on it. */
	if (size > 0 && (error = map_file(place, mempath)) != 0)
		goto out;
	if ((place->fd = open(lockpath, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) == -1) {
		error = -errno;
		goto out;
	}
	*out = (struct section){ .ops = &plain_ops,
		.place = place,
		.memory = place->memory,
		.size = size };
	place = NULL;
out:
	plain_close(place);
	return error;
}

/* --- the critical section ----------------------------------------------- */

/*
 * Runs are a whole number of blocks apart and never overlap, so all bytes of a run hold the same
 * value, and adding one to it changes all of them.
 */
static int
change(struct section *section, size_t changed)
{
	size_t step, count;
	unsigned char *run;

	if (changed == 0)
		return 0;
	step = (changed + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK;
	count = (section->size - changed) / step + 1;
	run = section->memory + section->next++ % count * step;
	memset(run, *run + 1, changed);
	if (!section->is_hinting || section->ops->hint == NULL)
		return 0;
	return section->ops->hint(section->place, (size_t)(run - section->memory), changed);
}

static int
repeat(struct section *section, size_t changed, size_t times)
{
	int error = 0, unlocked;

	for (size_t i = 0; i < times && error == 0; i++) {
		if ((error = section->ops->lock(section->place)) != 0)
			return error;
		error = change(section, changed);
		unlocked = section->ops->unlock(section->place);
		if (error == 0)
			error = unlocked;
	}
	return error;
}

int
section_measure_means(struct section *section, size_t changed, size_t group, uint64_t *samples,
    size_t count)
{
	uint64_t last, end;
	int error;

	assert(changed <= section->size && group > 0);
	last = clock_now();
	for (size_t i = 0; i < count; i++) {
		if ((error = repeat(section, changed, group)) != 0)
			return error;
		end = clock_now();
		samples[i] = (end - last + group / 2) / group;
		last = end;
	}
	return 0;
}

int
section_measure(struct section *section, size_t changed, uint64_t *samples, size_t count)
{
	return section_measure_means(section, changed, 1, samples, count);
}

void
section_close(struct section *section)
{
	if (section->ops != NULL)
		section->ops->close(section->place);
	memset(section, 0, sizeof *section);
}
