#include "common/host/hostfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/highfd.h"
#include "common/host/hostio.h"
#include "common/host/hostprobe.h"

enum { FILE_MODE = 0660 };

/* Makes h the file of fd, of size bytes. fd stays the caller's on failure. */
static int
init_file(struct hostfile *h, int fd, uint64_t size)
{
	struct hostfile f = { 0 };
	struct stat st;
	int error;

	if (fstat(fd, &st) != 0)
		return -EIO;
	f.descriptor = ownfd_of(fd);
	error = hostprobe_find_access(fd, &st, size, &f.is_by_mapping);
	if (error == 0 && f.is_by_mapping && size > 0) {
		error = hostio_map(fd, 0, size, &f.untrusted_base);
		if (error == -ENOTSUP)
			error = -EIO;
		f.mapped = size;
	}
	if (error == 0)
		*h = f;
	return error;
}

int
hostfile_open(struct hostfile *h, int directory, const char *name, uint64_t size)
{
	int fd, error = hostio_open(&fd, directory, name);

	if (error != 0)
		return error;
	error = init_file(h, fd, size);
	if (error != 0)
		close(fd);
	return error;
}

/*
 * The umask is for the files of a program, these are for every process of a group. fstat(2) cannot
 * tell what is needed: a library OS's knows its own umask and not the host's. A file system without
 * modes refuses, and needs none.
 */
static void
set_mode(int fd)
{
	(void)fchmod(fd, FILE_MODE);
}

static int
set_size_and_mode(int fd, uint64_t size)
{
	int result;

	if (size > INT64_MAX || hostio_check_limit(size) != 0)
		return -EFBIG;
	do
		result = ftruncate(fd, (off_t)size);
	while (result != 0 && errno == EINTR);
	if (result != 0)
		return -errno;
	set_mode(fd);
	return 0;
}

static bool
is_at(int fd, int directory, const char *name)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 &&
	    fstatat(directory, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

int
hostfile_create(struct hostfile *h, int directory, const char *name, uint64_t size)
{
	int fd, error = hostio_create(&fd, directory, name, FILE_MODE);

	if (error != 0)
		return error;
	error = set_size_and_mode(fd, size);
	if (error == 0)
		error = init_file(h, fd, size);
	if (error != 0) {
		if (is_at(fd, directory, name))
			unlinkat(directory, name, 0);
		close(fd);
	}
	return error;
}

/*
 * Gives a name to the file of fd, which has none. The thread may have descriptors of its own
 * (unshare(2)). Returns 0 or a negative errno of linkat(2).
 */
static int
link_unnamed(int fd, int directory, const char *name)
{
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
	return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

/*
 * Creates name with its mode from the first moment, so that a process that dies here leaves no
 * file that others may not open. Returns 0, -EEXIST, or another error where the system has no files
 * without a name (a library OS, some file systems, a chroot without proc).
 */
static int
create_with_mode(int *fd, int directory, const char *name)
{
	struct stat st;
	int opened = highfd(openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE));
	int error;

	if (opened < 0)
		return -errno;
	/* A library OS that knows nothing of the flag opens the directory. */
	error = fstat(opened, &st) == 0 && S_ISREG(st.st_mode) ? 0 : -EISDIR;
	if (error == 0) {
		set_mode(opened);
		error = link_unnamed(opened, directory, name);
	}
	if (error == 0)
		*fd = opened;
	else
		(void)close(opened);
	return error;
}

int
hostfile_create_empty(struct hostfile *h, int directory, const char *name)
{
	int fd, error = create_with_mode(&fd, directory, name);

	if (error != 0 && error != -EEXIST) {
		error = hostio_create(&fd, directory, name, FILE_MODE);
		if (error == 0)
			set_mode(fd);
	}
	if (error != 0)
		return error;
	error = init_file(h, fd, 0);
	if (error != 0)
		close(fd);
	return error;
}

int
hostfile_set_size(const struct hostfile *h, uint64_t size)
{
	if (hostio_check_limit(size) != 0)
		return -EFBIG;
	return set_size_and_mode(h->descriptor.fd, size);
}

void
hostfile_close(struct hostfile *h)
{
	if (h->untrusted_base != NULL)
		munmap(h->untrusted_base, h->mapped);
	ownfd_close(&h->descriptor);
	*h = HOSTFILE_CLOSED;
}

static bool
is_mapped(const struct hostfile *h, uint64_t offset, size_t size)
{
	return offset <= h->mapped && size <= h->mapped - offset;
}

int
hostfile_read(const struct hostfile *h, uint64_t offset, void *out, size_t size)
{
	if (!h->is_by_mapping)
		return hostio_read(h->descriptor.fd, offset, out, size);
	if (!is_mapped(h, offset, size))
		return -EIO;
	if (size > 0)
		hostio_copy(out, h->untrusted_base + offset, size);
	return 0;
}

int
hostfile_read_start(const struct hostfile *h, void *out, size_t most, size_t *count)
{
	return h->is_by_mapping ? -EIO : hostio_read_start(h->descriptor.fd, out, most, count);
}

int
hostfile_write(const struct hostfile *h, uint64_t offset, const void *bytes, size_t size)
{
	if (!h->is_by_mapping)
		return hostio_write(h->descriptor.fd, offset, bytes, size);
	if (!is_mapped(h, offset, size))
		return -EIO;
	if (size > 0)
		hostio_copy(h->untrusted_base + offset, bytes, size);
	return 0;
}

bool
hostfile_is_at(const struct hostfile *h, int directory, const char *name)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == h->descriptor.device && st.st_ino == h->descriptor.inode;
}

int
hostfile_map(struct hostfile *h, size_t size)
{
	struct stat st;
	uint8_t *untrusted_base;
	int error;

	assert(size > 0);
	if (size <= h->mapped)
		return 0;
	if (fstat(h->descriptor.fd, &st) != 0 ||
	    (S_ISREG(st.st_mode) && (st.st_size < 0 || (uint64_t)st.st_size < size)))
		return -EIO;
	error = hostio_map(h->descriptor.fd, 0, size, &untrusted_base);
	if (error != 0)
		return error;
	if (h->untrusted_base != NULL)
		munmap(h->untrusted_base, h->mapped);
	h->untrusted_base = untrusted_base;
	h->mapped = size;
	return 0;
}
