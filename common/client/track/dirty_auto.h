/*
 * dirty_auto: the tracker that chooses between comparing everything (dirty_diff) and asking the
 * kernel (dirty_uffd), by the size of the segment and by what the last releases changed. It never
 * fails where dirty_diff does not: where the kernel refuses, or descriptors are scarce, it
 * compares.
 *
 * It compares first. A segment above DIRTY_AUTO_SMALL of which little changes, several releases in
 * a row, is then watched, which takes two descriptors; when much changes twice in a row, it is let
 * go, and the next try comes only after twice as many releases.
 *
 * Going from one to the other loses nothing: both end with base equal to the shadow but for later
 * writes; the first scan of a range lists all of it, and one that is let go is compared as a whole.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_AUTO_H
#define COMMON_CLIENT_TRACK_DIRTY_AUTO_H

#include <stdbool.h>

#include "common/client/track/dirty.h"

/* Comparing this is cheaper than one fault and one scan. Bytes. */
enum { DIRTY_AUTO_SMALL = 128 * 1024 };

extern const struct dirty_ops dirty_auto;

/* True while it asks the kernel: for tests and figures. */
bool dirty_auto_is_watching(const struct dirty *d);

#endif
