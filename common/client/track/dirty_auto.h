/*
 * dirty_auto: the tracker that chooses between comparing all of the segment (dirty_diff) and asking
 * the kernel (dirty_uffd), by the size of the segment and by how much the last releases changed. It
 * fails only where dirty_diff does: where the kernel refuses, or descriptors are scarce, it
 * compares.
 *
 * It compares first. Above DIRTY_AUTO_SMALL, once little has changed in several releases in a row,
 * it watches the segment, which takes two descriptors. When much changes in two releases in a row
 * it compares again, and waits for twice as many releases before it watches the next time.
 *
 * A switch loses no change. Both trackers leave base equal to the shadow but for later writes; the
 * first scan of a range lists all of its pages, and after watching the whole segment is compared.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_AUTO_H
#define COMMON_CLIENT_TRACK_DIRTY_AUTO_H

#include <stdbool.h>

#include "common/client/track/dirty.h"

/* Bytes. Comparing so much is cheaper than one fault and one scan. */
enum { DIRTY_AUTO_SMALL = 128 * 1024 };

extern const struct dirty_ops dirty_auto;

/* True while it asks the kernel: for tests and figures. */
bool dirty_auto_is_watching(const struct dirty *d);

#endif
