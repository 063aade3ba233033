#include "common/host/hostio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/forkmark.h"
#include "common/base/highfd.h"

/*
 * Without O_NONBLOCK the open may wait: for the end of another process's lease on the file, for a
 * modem's carrier.
 */
enum { OPEN_FLAGS = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

int
hostio_open_directory(int *fd, const char *path)
{
	int opened;

	do
		opened = highfd(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	while (opened < 0 && errno == EINTR);
	if (opened < 0)
		return -errno;
	*fd = opened;
	return 0;
}

int
hostio_open(int *fd, int directory, const char *name)
{
	int opened;

	do
		opened = highfd(openat(directory, name, OPEN_FLAGS));
	while (opened < 0 && errno == EINTR);
	if (opened >= 0) {
		*fd = opened;
		return 0;
	}
	/* A directory, a socket, a device without a driver. */
	return errno == EISDIR || errno == ENXIO || errno == ENODEV ? -EIO : -errno;
}

int
hostio_create(int *fd, int directory, const char *name, mode_t mode)
{
	int opened = highfd(openat(directory, name, OPEN_FLAGS | O_CREAT | O_EXCL, mode));

	if (opened < 0)
		return -errno;
	*fd = opened;
	return 0;
}

int
hostio_read(int fd, uint64_t offset, void *out, size_t size)
{
	uint8_t *next = out;
	ssize_t n;

	while (size > 0) {
		n = pread(fd, next, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		next += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int
hostio_read_start(int fd, void *out, size_t most, size_t *count)
{
	uint8_t *bytes = out;
	size_t sum = 0;
	ssize_t n = 1;

	while (sum < most && n != 0) {
		n = pread(fd, bytes + sum, most - sum, (off_t)sum);
		if (n < 0 && errno != EINTR)
			return -EIO;
		if (n > 0)
			sum += (size_t)n;
	}
	*count = sum;
	return 0;
}

int
hostio_write(int fd, uint64_t offset, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	ssize_t n;

	while (size > 0) {
		n = pwrite(fd, next, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return -errno;
		if (n <= 0)
			return -EIO;
		next += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static uint64_t
get_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 ? limit.rlim_cur : UINT64_MAX;
}

int
hostio_check_limit(uint64_t size)
{
	return size <= get_limit() ? 0 : -EFBIG;
}

int
hostio_check_recent_limit(uint64_t size)
{
	static atomic_uint_fast64_t limit, tick, copy;
	uint64_t now = clock_coarse(), mark = forkmark_get();

	if (atomic_load(&tick) != now || atomic_load(&copy) != mark) {
		atomic_store(&limit, get_limit());
		atomic_store(&copy, mark);
		atomic_store(&tick, now);
	}
	return size <= atomic_load(&limit) ? 0 : hostio_check_limit(size);
}

int
hostio_map(int fd, uint64_t offset, size_t size, uint8_t **untrusted_base)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (memory == MAP_FAILED)
		return errno == ENOMEM || errno == EAGAIN ? -ENOMEM : -ENOTSUP;
	*untrusted_base = memory;
	return 0;
}

void
hostio_copy(void *out, const void *in, size_t size)
{
	memcpy(out, in, size);
	/* Keeps the compiler from reading in a second time. */
	atomic_signal_fence(memory_order_seq_cst);
}
