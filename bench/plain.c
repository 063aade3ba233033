#include "bench/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	void *memory; /* NULL: none */
	size_t size;
	int fd;      /* of the lock file */
	int command; /* of fcntl(2) */
};

static int
set_lock(const struct place *place, short type)
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
	struct place *place = arg;

	if (place == NULL)
		return;
	if (place->memory != NULL)
		munmap(place->memory, place->size);
	if (place->fd != -1)
		close(place->fd);
	free(place);
}

static const struct section_ops plain_ops = { plain_lock, plain_unlock, plain_close };

static int
map_file(struct place *place, const char *path)
{
	int error = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	struct stat st;
	void *memory;

	if (fd == -1 || fstat(fd, &st) == -1)
		goto fail;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < place->size &&
	    ftruncate(fd, (off_t)place->size) == -1)
		goto fail;
	memory = mmap(NULL, place->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		goto fail;
	place->memory = memory;
	goto out;
fail:
	error = -errno;
out:
	if (fd != -1)
		close(fd);
	return error;
}

int
plain_open(struct section *out, const char *mempath, const char *lockpath, size_t size,
    bool is_threaded)
{
	int error = 0;
	struct place *place = calloc(1, sizeof *place);

	if (place == NULL)
		return -ENOMEM;
	place->size = size;
	place->fd = -1;
	place->command = is_threaded ? F_OFD_SETLKW : F_SETLKW;
	/* First, as closing a file gives up the locks that we have on it. */
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
