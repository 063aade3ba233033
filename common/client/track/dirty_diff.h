/*
 * dirty_diff: the tracker that compares the mapping with the shadow. It needs nothing of the system
 * and misses no change; a release costs one comparison of the segment.
 *
 * The other trackers know where to look, and compare there with dirty_diff_range().
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_DIFF_H
#define COMMON_CLIENT_TRACK_DIRTY_DIFF_H

#include "common/client/track/dirty.h"

extern const struct dirty_ops dirty_diff;

/*
 * Compares from offset up to end (at most d->size), copies the changes to the shadow and adds them
 * to the pieces, one a block. The pieces that are there already are below offset, and in other
 * blocks.
 */
void dirty_diff_range(struct dirty *d, uint32_t offset, uint32_t end);

#endif
