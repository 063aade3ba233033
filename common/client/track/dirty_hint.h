/*
 * dirty_hint: the tracker that believes the program: what sm_dirty() was told since the last
 * release is compared with the shadow, and nothing else is looked at. A release costs what was
 * hinted. For programs that know what they write, where there is no uffd.
 *
 * Of each block it keeps the first and the last byte hinted; what lies between two hints in one
 * block is taken for hinted. What was written and not hinted is not published, and is lost when a
 * grant brings that block, or when the replica becomes void.
 *
 * A hint may be given by any thread, before or after the write; it takes no lock and allocates
 * nothing.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_HINT_H
#define COMMON_CLIENT_TRACK_DIRTY_HINT_H

#include "common/client/track/dirty.h"

extern const struct dirty_ops dirty_hint;

#endif
