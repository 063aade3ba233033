/*
 * uffd: asks the kernel which pages of a mapping were written (userfaultfd write-protection in
 * asynchronous mode and the PAGEMAP_SCAN ioctl; Linux 6.7 and later).
 *
 * A page is protected or not. The first write to a protected page takes a fault, which the kernel
 * itself resolves by unprotecting the page. uffd_scan() lists the pages that are not protected and
 * protects them, in one step: a write that races with a scan is listed by it or by the next one. So
 * "not protected" means "may have been written", and unprotecting a page is always safe.
 *
 * UFFD_USER_MODE_ONLY is always set: it needs no privilege. It forbids waiting for a handler when
 * the kernel itself faults, which asynchronous mode never does. A read(2) into a protected page
 * works and is seen.
 *
 * Not seen are DMA into pages that were pinned before the scan (io_uring's registered buffers),
 * and, on some kernels, madvise(2) with MADV_DONTNEED, which makes zeros of a page without writing
 * it.
 *
 * ground.h tells whether the system has all of this: it tries uffd_open().
 *
 * The kernel is the host's: inside an enclave, a library OS offers no userfaultfd, and one from the
 * host could not be trusted. Outside, a kernel that lies here makes the program publish less or
 * more than it wrote, which a kernel can do anyway.
 *
 * A program may close the descriptors, and open others under their numbers (ownfd.h): a scan then
 * fails, and unprotecting does nothing, since no other file knows these requests.
 *
 * One thread at a time may use a range; other threads may write to its memory meanwhile.
 */
#ifndef COMMON_HOST_UFFD_H
#define COMMON_HOST_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages from start up to end, as offsets from the range's base, bytes. */
struct uffd_run {
	size_t start;
	size_t end;
};

struct uffd_range;

/*
 * Watches size bytes (whole pages) of private anonymous memory at base. No page is protected at
 * first: the first scan lists them all. The memory gets no more huge pages, as one write would make
 * all of one count. Returns 0 or a negative errno: -EMFILE, -ENFILE and -ENOMEM are shortages, and
 * any other says that the kernel cannot or may not.
 */
int uffd_open(struct uffd_range **out, uint8_t *base, size_t size);

/*
 * Takes NULL. Stops watching the range, which stays mapped. In a fork's child, whose copy of the
 * range was never watched, this must be the first call with r, as the inherited descriptors mean
 * the parent's memory; it does nothing to that.
 */
void uffd_close(struct uffd_range *r);

/* True when one of its two descriptors is in the upper half of what RLIMIT_NOFILE allows. */
bool uffd_is_crowding(const struct uffd_range *r);

/*
 * Lists the pages that are not protected, as at most `most` ascending runs, and protects them.
 * *from is 0 for the first call; each call sets it to where the next one goes on, and to the size
 * of the range at the end. Returns the number of runs, or a negative errno: pages from *from on are
 * then as they were, or were protected without being listed.
 */
int uffd_scan(struct uffd_range *r, size_t *from, struct uffd_run *runs, int most);

/*
 * Unprotects the pages that contain any of the size bytes at offset: cheaper than a fault for each
 * page. A failure does no harm.
 */
void uffd_unprotect(struct uffd_range *r, size_t offset, size_t size);

#endif
