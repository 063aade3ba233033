/*
 * dirty_diff: the tracker that compares with the shadow. It needs nothing of the system and misses
 * nothing; it costs one comparison of the segment a release.
 *
 * The other trackers know where to look, and look with it.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_DIFF_H
#define COMMON_CLIENT_TRACK_DIRTY_DIFF_H

#include "common/client/track/dirty.h"

extern const struct dirty_ops dirty_diff;

/*
 * Compares from offset up to end (at most d->size), copies what changed to the shadow and adds it to
 * the pieces, one a block; all that are there are below offset, and in other blocks.
 */
void dirty_diff_range(struct dirty *d, uint32_t offset, uint32_t end);

#endif
