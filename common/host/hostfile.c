#include "common/host/hostfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/crypto/random.h"

/*
 * Without O_NONBLOCK the open may wait: for somebody's lease on the file to end, for a modem's
 * carrier.
 */
enum { OPEN_FLAGS = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

enum { FILE_MODE = 0660 };

/* So often others may get in between a question and its answer. */
enum { PROBE_TRIES = 100 };

/*
 * From or to memory that somebody else may be writing: the fence keeps a compiler from reading it a
 * second time.
 */
static void
copy_untrusted(void *out, const void *in, size_t size)
{
	memcpy(out, in, size);
	atomic_signal_fence(memory_order_seq_cst);
}

/* What says that this file does not know pread, and not that reading failed. */
static bool
is_unknown_call(int error)
{
	switch (error) {
	case ENOSYS:
	case EINVAL:
	case ESPIPE:
	case EBADF:
	case EACCES:
	case EPERM:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

/*
 * Finds out which file h is to be and whether it, of size bytes, knows pread. Its last byte is
 * asked for: that tells its length too, better than fstat(2) does in a library OS, which remembers
 * lengths. Returns 0 or -EIO.
 */
static int
find_way(int fd, uint64_t size, struct hostfile *h)
{
	struct stat st;
	uint8_t byte;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -EIO;
	h->device = st.st_dev;
	h->inode = st.st_ino;
	if (S_ISREG(st.st_mode)) {
		do
			n = pread(fd, &byte, 1, size > 0 ? (off_t)(size - 1) : 0);
		while (n < 0 && errno == EINTR);
		if (n == 1 || (n == 0 && size == 0)) {
			h->is_by_mapping = false;
			return 0;
		}
		if (n == 0 || !is_unknown_call(errno))
			return -EIO;
	} else if (!S_ISCHR(st.st_mode)) {
		return -EIO;
	}
	/*
	 * A real device measures nothing, so that its size refuses it. Those of a library OS must
	 * not be asked with pread, which some answer at offset 0 only.
	 */
	if (st.st_size < 0 || (uint64_t)st.st_size < size)
		return -EIO;
	h->is_by_mapping = true;
	return 0;
}

static int
map_shared(int fd, uint64_t offset, size_t size, uint8_t **untrusted_base)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return errno == ENOMEM || errno == EAGAIN ? -ENOMEM : -ENOTSUP;
	*untrusted_base = p;
	return 0;
}

static int
open_existing(int directory, const char *name, int *fd)
{
	int error;

	do
		*fd = openat(directory, name, OPEN_FLAGS);
	while (*fd < 0 && errno == EINTR);
	if (*fd >= 0)
		return 0;
	error = errno;
	/* A directory, a socket, a device that nothing drives. */
	return error == EISDIR || error == ENXIO || error == ENODEV ? -EIO : -error;
}

/* The descriptor becomes a file of size bytes; it stays the caller's on failure. */
static int
adopt(struct hostfile *h, int fd, uint64_t size)
{
	struct hostfile f = { .fd = fd };
	int rc = find_way(fd, size, &f);

	if (rc == 0 && f.is_by_mapping && size > 0) {
		rc = map_shared(fd, 0, size, &f.untrusted_base);
		if (rc == -ENOTSUP)
			rc = -EIO;
		f.mapped = size;
	}
	if (rc == 0)
		*h = f;
	return rc;
}

int
hostfile_open(struct hostfile *h, int directory, const char *name, uint64_t size)
{
	int fd, rc = open_existing(directory, name, &fd);

	if (rc != 0)
		return rc;
	rc = adopt(h, fd, size);
	if (rc != 0)
		close(fd);
	return rc;
}

/* A file just made gets its size and its mode. */
static int
furnish(int fd, uint64_t size)
{
	struct stat st;
	int rc;

	if (size > INT64_MAX)
		return -EFBIG;
	do
		rc = ftruncate(fd, (off_t)size);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		return -errno;
	/*
	 * The umask is for the files of a program, these are for every process of a group. A file
	 * system without modes refuses, and needs none.
	 */
	if (fstat(fd, &st) == 0 && (st.st_mode & 0777) != FILE_MODE)
		(void)fchmod(fd, FILE_MODE);
	return 0;
}

int
hostfile_create(struct hostfile *h, int directory, const char *name, uint64_t size)
{
	struct hostfile made = HOSTFILE_CLOSED;
	int rc;

	made.fd = openat(directory, name, OPEN_FLAGS | O_CREAT | O_EXCL, FILE_MODE);
	if (made.fd < 0)
		return -errno;
	rc = furnish(made.fd, size);
	if (rc == 0)
		rc = adopt(h, made.fd, size);
	if (rc != 0) {
		if (hostfile_is_at(&made, directory, name))
			unlinkat(directory, name, 0);
		close(made.fd);
	}
	return rc;
}

int
hostfile_extend(const struct hostfile *h, uint64_t size)
{
	struct stat st;

	if (fstat(h->fd, &st) != 0)
		return -errno;
	if (st.st_size >= 0 && (uint64_t)st.st_size >= size)
		return 0;
	return furnish(h->fd, size);
}

void
hostfile_close(struct hostfile *h)
{
	if (h->untrusted_base != NULL)
		munmap(h->untrusted_base, h->mapped);
	if (hostfile_is_intact(h))
		close(h->fd);
	*h = HOSTFILE_CLOSED;
}

static bool
is_mapped(const struct hostfile *h, uint64_t offset, size_t size)
{
	return offset <= h->mapped && size <= h->mapped - offset;
}

static int
read_all(int fd, uint64_t offset, uint8_t *out, size_t size)
{
	ssize_t n;

	while (size > 0) {
		n = pread(fd, out, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		out += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int
write_all(int fd, uint64_t offset, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	while (size > 0) {
		n = pwrite(fd, bytes, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return -errno;
		if (n <= 0)
			return -EIO;
		bytes += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int
hostfile_read(const struct hostfile *h, uint64_t offset, void *out, size_t size)
{
	if (!h->is_by_mapping)
		return read_all(h->fd, offset, out, size);
	if (!is_mapped(h, offset, size))
		return -EIO;
	if (size > 0)
		copy_untrusted(out, h->untrusted_base + offset, size);
	return 0;
}

int
hostfile_write(const struct hostfile *h, uint64_t offset, const void *bytes, size_t size)
{
	if (!h->is_by_mapping)
		return write_all(h->fd, offset, bytes, size);
	if (!is_mapped(h, offset, size))
		return -EIO;
	if (size > 0)
		copy_untrusted(h->untrusted_base + offset, bytes, size);
	return 0;
}

bool
hostfile_is_intact(const struct hostfile *h)
{
	struct statx sx;
	struct stat st;

	if (h->fd < 0)
		return false;
	/*
	 * Asked for nothing else: since Linux 6.13 who asks for the times of a file makes the next
	 * write to it put new ones into its inode, which costs twice as much as the write.
	 */
	if (statx(h->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &sx) == 0)
		return sx.stx_ino == h->inode &&
		    makedev(sx.stx_dev_major, sx.stx_dev_minor) == h->device;
	return errno == ENOSYS && fstat(h->fd, &st) == 0 && st.st_dev == h->device &&
	    st.st_ino == h->inode;
}

bool
hostfile_is_at(const struct hostfile *h, int directory, const char *name)
{
	struct stat ours, theirs;

	return fstat(h->fd, &ours) == 0 &&
	    fstatat(directory, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

int
hostfile_map(struct hostfile *h, size_t size)
{
	struct stat st;
	uint8_t *untrusted_base;
	int rc;

	assert(size > 0);
	if (size <= h->mapped)
		return 0;
	if (fstat(h->fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size < size)
		return -EIO;
	rc = map_shared(h->fd, 0, size, &untrusted_base);
	if (rc != 0)
		return rc;
	if (h->untrusted_base != NULL)
		munmap(h->untrusted_base, h->mapped);
	h->untrusted_base = untrusted_base;
	h->mapped = size;
	return 0;
}

/* Eight bytes of a file, seen through a descriptor of its own. */
struct window {
	int fd;
	uint64_t offset;       /* of the bytes in the file */
	uint8_t *untrusted_at; /* the same in the mapping, NULL: there is none */
	uint8_t *untrusted_base;
	size_t mapped;
};

static int
window_open(struct window *w, int directory, const char *name, uint64_t offset, bool *is_by_mapping)
{
	struct window v = { .fd = -1, .offset = offset };
	struct hostfile h = HOSTFILE_CLOSED;
	int rc;

	if (offset > INT64_MAX - sizeof(uint64_t))
		return -EIO;
	rc = open_existing(directory, name, &v.fd);
	if (rc != 0)
		return rc;
	rc = find_way(v.fd, offset + sizeof(uint64_t), &h);
	if (rc != 0) {
		close(v.fd);
		return rc;
	}
	*is_by_mapping = h.is_by_mapping;
	*w = v;
	return 0;
}

/* Maps no more than the pages that have the bytes. */
static int
window_map(struct window *w)
{
	size_t within = (size_t)(w->offset % (uint64_t)sysconf(_SC_PAGESIZE));
	int rc;

	w->mapped = within + sizeof(uint64_t);
	rc = map_shared(w->fd, w->offset - within, w->mapped, &w->untrusted_base);
	if (rc == 0)
		w->untrusted_at = w->untrusted_base + within;
	return rc;
}

static void
window_close(struct window *w)
{
	if (w->untrusted_base != NULL)
		munmap(w->untrusted_base, w->mapped);
	if (w->fd >= 0)
		close(w->fd);
}

static int
window_read(const struct window *w, uint64_t *out)
{
	if (w->untrusted_at == NULL)
		return read_all(w->fd, w->offset, (uint8_t *)out, sizeof *out);
	copy_untrusted(out, w->untrusted_at, sizeof *out);
	return 0;
}

/*
 * Returns 0 (seen), -ENOTSUP (private), -EAGAIN (somebody else wrote there meanwhile) or an error.
 */
static int
ask(const struct window *writer, const struct window *looker)
{
	uint64_t question, seen, kept;
	int rc;

	rc = random_u64(&question);
	if (rc != 0)
		return rc;
	copy_untrusted(writer->untrusted_at, &question, sizeof question);
	rc = window_read(looker, &seen);
	if (rc != 0)
		return rc;
	if (seen == question)
		return 0;
	/*
	 * A private copy keeps what was written to it, for ever. In shared memory only another
	 * one's question can have hidden ours from the looker, and the writer sees that one too.
	 */
	copy_untrusted(&kept, writer->untrusted_at, sizeof kept);
	return kept == question ? -ENOTSUP : -EAGAIN;
}

int
hostfile_probe_shared(int directory, const char *name, uint64_t offset)
{
	struct window writer = { .fd = -1 }, looker = { .fd = -1 };
	bool is_by_mapping;
	uint64_t before;
	int rc, tries;

	rc = window_open(&writer, directory, name, offset, &is_by_mapping);
	if (rc != 0)
		goto out;
	rc = window_map(&writer);
	if (rc != 0)
		goto out;
	rc = window_open(&looker, directory, name, offset, &is_by_mapping);
	if (rc != 0)
		goto out;
	/*
	 * pread asks the host itself. A mapping must be there, and have been read, before the
	 * question is written: then a copy made at either end, when it was mapped or when it was
	 * first touched, cannot have the answer.
	 */
	if (is_by_mapping)
		rc = window_map(&looker);
	if (rc == 0)
		rc = window_read(&looker, &before);
	if (rc != 0)
		goto out;
	tries = 0;
	do
		rc = ask(&writer, &looker);
	while (rc == -EAGAIN && ++tries < PROBE_TRIES);
out:
	window_close(&looker);
	window_close(&writer);
	return rc;
}
