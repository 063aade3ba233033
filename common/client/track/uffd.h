/*
 * uffd: asks the kernel which pages of a mapping were written (userfaultfd write-protection in
 * asynchronous mode and the PAGEMAP_SCAN ioctl; Linux 6.7 and later).
 *
 * A page is protected or not. The first write to a protected page takes a fault, which the kernel
 * resolves by itself by unprotecting it; uffd_scan() lists the pages that are not protected and
 * protects them, in one step: a write that races with it is either listed or will be. So "not
 * protected" and "may have been written" are the same, and unprotecting a page is always safe.
 *
 * UFFD_USER_MODE_ONLY, always: it needs no privilege, and what it takes away, waiting for a
 * handler when the kernel itself faults, asynchronous mode never does. A read(2) into a protected
 * page works and is seen.
 *
 * What is not seen: DMA into pages that were pinned before the scan (io_uring's registered
 * buffers), and, on some kernels, madvise(2) with MADV_DONTNEED, which makes zeros of a page
 * without writing it.
 *
 * The kernel is the host's: inside an enclave under a library OS there is no userfaultfd, and
 * nobody should trust one. Outside, a kernel that lies here makes the program publish less or
 * more than it wrote, as a kernel can anyway.
 *
 * Not for use by several threads at a time; other threads may write to the range meanwhile.
 */
#ifndef COMMON_CLIENT_TRACK_UFFD_H
#define COMMON_CLIENT_TRACK_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages from start up to end, as offsets from the range's base, bytes. */
struct uffd_run {
	size_t start;
	size_t end;
};

struct uffd_range;

/* True when this kernel lets this process watch ranges. It is asked until it has said so or not. */
bool uffd_is_supported(void);

/*
 * Watches size bytes (whole pages) of private anonymous memory at base. Nothing is protected: the
 * first scan lists it all. The memory no longer gets huge pages, as one write would make all of
 * one count. Returns 0; -ENOTSUP where the kernel cannot or may not; -EMFILE, -ENFILE, -ENOMEM.
 */
int uffd_open(struct uffd_range **out, uint8_t *base, size_t size);

/*
 * Takes NULL. The range is no longer watched; it stays mapped. In a fork's child, whose copy of the
 * range was never watched: does nothing to the parent's. There it has to be the first thing that
 * is done to r, as the inherited descriptors mean the parent's memory.
 */
void uffd_close(struct uffd_range *r);

/* True when its two descriptors are of the upper half of what RLIMIT_NOFILE allows. */
bool uffd_is_crowding(const struct uffd_range *r);

/*
 * Lists the pages that are not protected, ascending, at most `most` runs (of which there may be
 * several a call), and protects them. *from is 0 at first, and is then where to go on; the size of
 * the range at the end. Returns how many runs there are, or a negative errno; pages from *from on
 * are then as they were, or were protected without being listed.
 */
int uffd_scan(struct uffd_range *r, size_t *from, struct uffd_run *runs, int most);

/*
 * Unprotects the pages that have some of the size bytes at offset: cheaper than a fault for each of
 * them. Failing does no harm.
 */
void uffd_unprotect(struct uffd_range *r, size_t offset, size_t size);

#endif
