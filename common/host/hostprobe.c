#include "common/host/hostprobe.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/crypto/random.h"
#include "common/host/hostio.h"

/* How often another process's mark may replace ours before we read it. */
enum { TRIES = 100 };

/* The errnos of each call that say that it is not there; 0 ends a row. */
static const int missing[][8] = {
	[HOSTPROBE_PREAD] = { ENOSYS, EINVAL, ESPIPE, EBADF, EACCES, EPERM, EOPNOTSUPP },
	[HOSTPROBE_OFD_LOCK] = { ENOSYS, EINVAL, EOPNOTSUPP },
};

bool
hostprobe_is_missing(enum hostprobe_call call, int error)
{
	const int *e;

	for (e = missing[call]; *e != 0; e++)
		if (*e == -error)
			return true;
	return false;
}

int
hostprobe_find_access(int fd, const struct stat *st, uint64_t size, bool *is_by_mapping)
{
	uint8_t byte;
	ssize_t n;

	if (S_ISREG(st->st_mode)) {
		/*
		 * The last byte tells the length too, better than fstat(2) does in a library OS,
		 * which remembers lengths.
		 */
		do
			n = pread(fd, &byte, 1, size > 0 ? (off_t)(size - 1) : 0);
		while (n < 0 && errno == EINTR);
		if (n == 1 || (n == 0 && size == 0)) {
			*is_by_mapping = false;
			return 0;
		}
		if (n == 0 || !hostprobe_is_missing(HOSTPROBE_PREAD, -errno))
			return -EIO;
		if (st->st_size < 0 || (uint64_t)st->st_size < size)
			return -EIO;
	} else if (!S_ISCHR(st->st_mode) || st->st_rdev != 0) {
		/*
		 * A device of a library OS has no number. It must not be asked with pread, which
		 * some answer at offset 0 only, and its size is the one that the name had when it
		 * was first seen, which may have been another file's: it says nothing.
		 */
		return -EIO;
	}
	*is_by_mapping = true;
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
	struct stat st;
	int error;

	if (offset > INT64_MAX - sizeof(uint64_t))
		return -EIO;
	error = hostio_open(&v.fd, directory, name);
	if (error != 0)
		return error;
	error = fstat(v.fd, &st) == 0 ?
	    hostprobe_find_access(v.fd, &st, offset + sizeof(uint64_t), is_by_mapping) :
	    -EIO;
	if (error != 0) {
		close(v.fd);
		return error;
	}
	*w = v;
	return 0;
}

/* Maps no more than the pages that have the bytes. */
static int
window_map(struct window *w)
{
	size_t within = (size_t)(w->offset % (uint64_t)sysconf(_SC_PAGESIZE));
	int error;

	w->mapped = within + sizeof(uint64_t);
	error = hostio_map(w->fd, w->offset - within, w->mapped, &w->untrusted_base);
	if (error == 0)
		w->untrusted_at = w->untrusted_base + within;
	return error;
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
		return hostio_read(w->fd, w->offset, out, sizeof *out);
	hostio_copy(out, w->untrusted_at, sizeof *out);
	return 0;
}

/*
 * Writes a mark and looks for it. Returns 0 (seen), -ENOTSUP (private), -EAGAIN (another process
 * wrote there meanwhile) or an error.
 */
static int
try_mark(const struct window *writer, const struct window *reader)
{
	uint64_t mark, seen, kept;
	int error;

	error = random_u64(&mark);
	if (error != 0)
		return error;
	hostio_copy(writer->untrusted_at, &mark, sizeof mark);
	error = window_read(reader, &seen);
	if (error != 0)
		return error;
	if (seen == mark)
		return 0;
	/*
	 * A private copy keeps our mark for ever. In shared memory only another process's mark can
	 * have replaced ours before it was read, and the writer sees that one too.
	 */
	hostio_copy(&kept, writer->untrusted_at, sizeof kept);
	return kept == mark ? -ENOTSUP : -EAGAIN;
}

int
hostprobe_check_shared(int directory, const char *name, uint64_t offset)
{
	struct window writer = { .fd = -1 }, reader = { .fd = -1 };
	bool is_by_mapping;
	uint64_t before;
	int error, tries;

	error = window_open(&writer, directory, name, offset, &is_by_mapping);
	if (error != 0)
		goto out;
	error = window_map(&writer);
	if (error != 0)
		goto out;
	error = window_open(&reader, directory, name, offset, &is_by_mapping);
	if (error != 0)
		goto out;
	/*
	 * pread asks the host itself. A mapping must be there, and have been read, before the mark
	 * is written: then a copy made at either end, when it was mapped or when it was first
	 * touched, does not have it.
	 */
	if (is_by_mapping)
		error = window_map(&reader);
	if (error == 0)
		error = window_read(&reader, &before);
	if (error != 0)
		goto out;
	tries = 0;
	do
		error = try_mark(&writer, &reader);
	while (error == -EAGAIN && ++tries < TRIES);
out:
	window_close(&reader);
	window_close(&writer);
	return error;
}
