/*
 * dirty_uffd: the tracker that asks the kernel which pages were written, uffd.h, and compares only
 * these. A release costs what was written, and nearly nothing for what the segment measures; a
 * page costs the program a fault when it is first written after a release, which is dearer than
 * comparing it. For large segments of which little changes.
 *
 * Where the kernel cannot, init says -ENOTSUP; the other errors are uffd_open()'s. Where a scan fails
 * later (the program has mapped something else there) it compares, as dirty_diff does: nothing is
 * missed.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_UFFD_H
#define COMMON_CLIENT_TRACK_DIRTY_UFFD_H

#include "common/client/track/dirty.h"

struct uffd_range;

extern const struct dirty_ops dirty_uffd;

/* The member collect, with range watching d->base. Returns how many bytes it had to compare. */
size_t dirty_uffd_collect(struct dirty *d, struct uffd_range *range);

/* The member prepare_write. */
void dirty_uffd_prepare_write(struct uffd_range *range, uint32_t offset, uint32_t length);

#endif
