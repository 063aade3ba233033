/*
 * dirty_uffd: the tracker that asks the kernel which pages were written (uffd.h) and compares only
 * these. A release costs what was written, and nearly nothing for the rest of the segment; the
 * first write to a page after a release costs the program a fault, which is dearer than comparing
 * the page. For large segments of which little changes.
 *
 * Where the kernel cannot do it (ground.h), init returns -ENOTSUP; its other errors are shortages
 * of descriptors or memory. When a scan fails later (the program has mapped something else there)
 * it compares as dirty_diff does, and misses no change.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_UFFD_H
#define COMMON_CLIENT_TRACK_DIRTY_UFFD_H

#include "common/client/track/dirty.h"

struct uffd_range;

extern const struct dirty_ops dirty_uffd;

/* The member collect; range watches d->base. Returns how many bytes it had to compare. */
size_t dirty_uffd_collect(struct dirty *d, struct uffd_range *range);

/* The member prepare_write. */
void dirty_uffd_prepare_write(struct uffd_range *range, uint32_t offset, uint32_t length);

#endif
