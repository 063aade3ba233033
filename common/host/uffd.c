#include "common/host/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/highfd.h"
#include "common/host/ownfd.h"

/* include/uapi/linux/userfaultfd.h of Linux 6.7: Debian 12's kernel headers are older. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

/* include/uapi/linux/fs.h of Linux 6.7, under names of our own. */
struct pm_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct pm_arg {
	uint64_t size; /* of this struct */
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end; /* out: where the walk stopped */
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PM_SCAN _IOWR('f', 16, struct pm_arg)
enum { PM_PAGE_IS_WRITTEN = 1 << 1 };                        /* a category */
enum { PM_WP_MATCHING = 1 << 0, PM_CHECK_WPASYNC = 1 << 1 }; /* flags */

enum { REGIONS = 64 }; /* of one ioctl */

struct uffd_range {
	uint8_t *base;
	size_t size;
	size_t page;
	struct ownfd uffd;
	struct ownfd pagemap;
};

/* A userfaultfd with asynchronous write-protection, or a negative errno. */
static int
open_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED |
		    UFFD_FEATURE_WP_ASYNC,
	};
	int fd = highfd(
	    (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
	int error;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int
open_both(struct uffd_range *r)
{
	int fd = open_uffd();

	if (fd < 0)
		return fd;
	r->uffd = ownfd_of(fd);
	fd = highfd(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return -errno;
	r->pagemap = ownfd_of(fd);
	return 0;
}

static int
watch(struct uffd_range *r)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)r->base, .len = r->size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	/*
	 * Fails with EINVAL where the kernel has no huge pages. The first write after a scan splits
	 * the huge pages that are there already.
	 */
	(void)madvise(r->base, r->size, MADV_NOHUGEPAGE);
	return ioctl(r->uffd.fd, UFFDIO_REGISTER, &reg) == 0 ? 0 : -errno;
}

/* Scans an empty range: a kernel may have asynchronous write-protection without PAGEMAP_SCAN. */
static int
probe_scan(struct uffd_range *r)
{
	struct pm_arg arg = {
		.size = sizeof arg,
		.flags = PM_WP_MATCHING | PM_CHECK_WPASYNC,
		.start = (uintptr_t)r->base,
		.end = (uintptr_t)r->base,
		.category_mask = PM_PAGE_IS_WRITTEN,
		.return_mask = PM_PAGE_IS_WRITTEN,
	};

	return ioctl(r->pagemap.fd, PM_SCAN, &arg) >= 0 ? 0 : -errno;
}

int
uffd_open(struct uffd_range **out, uint8_t *base, size_t size)
{
	struct uffd_range *r = calloc(1, sizeof *r);
	int error;

	if (r == NULL)
		return -ENOMEM;
	*r = (struct uffd_range){
		.base = base,
		.size = size,
		.page = (size_t)sysconf(_SC_PAGESIZE),
		.uffd = OWNFD_CLOSED,
		.pagemap = OWNFD_CLOSED,
	};
	error = open_both(r);
	if (error == 0)
		error = watch(r);
	if (error == 0)
		error = probe_scan(r);
	if (error != 0) {
		uffd_close(r);
		return error;
	}
	*out = r;
	return 0;
}

void
uffd_close(struct uffd_range *r)
{
	if (r == NULL)
		return;
	/* No ioctl: see the header. Closing the last descriptor unregisters the range. */
	ownfd_close(&r->pagemap);
	ownfd_close(&r->uffd);
	free(r);
}

bool
uffd_is_crowding(const struct uffd_range *r)
{
	struct rlimit limit;
	int highest = r->uffd.fd > r->pagemap.fd ? r->uffd.fd : r->pagemap.fd;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)highest >= limit.rlim_cur / 2;
}

int
uffd_scan(struct uffd_range *r, size_t *from, struct uffd_run *runs, int most)
{
	struct pm_region regions[REGIONS] = { 0 };
	struct pm_arg arg = {
		.size = sizeof arg,
		.flags = PM_WP_MATCHING | PM_CHECK_WPASYNC,
		.start = (uintptr_t)r->base + *from,
		.end = (uintptr_t)r->base + r->size,
		.vec = (uintptr_t)regions,
		.vec_len = (uint64_t)(most < REGIONS ? most : REGIONS),
		.category_mask = PM_PAGE_IS_WRITTEN,
		.return_mask = PM_PAGE_IS_WRITTEN,
	};
	int count, i;

	if (*from >= r->size)
		return 0;
	count = ioctl(r->pagemap.fd, PM_SCAN, &arg);
	if (count < 0)
		return -errno;
	/* A scan that does not advance would repeat for ever. */
	if (arg.walk_end <= arg.start || arg.walk_end > arg.end)
		return -EIO;
	for (i = 0; i < count; i++)
		runs[i] = (struct uffd_run){ (size_t)(regions[i].start - (uintptr_t)r->base),
			(size_t)(regions[i].end - (uintptr_t)r->base) };
	*from = (size_t)(arg.walk_end - (uintptr_t)r->base);
	return count;
}

void
uffd_unprotect(struct uffd_range *r, size_t offset, size_t size)
{
	size_t start = offset / r->page * r->page;
	size_t end = (offset + size + r->page - 1) / r->page * r->page;

	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)r->base + start, .len = end - start },
	};

	(void)ioctl(r->uffd.fd, UFFDIO_WRITEPROTECT, &wp);
}
