/*
 * dirty_hint: the tracker that relies on the program: it compares the bytes that the program named
 * with sm_dirty() since the last release, and no others. A release costs what was hinted. It is for
 * programs that know what they write, where there is no uffd.
 *
 * For each block it keeps the first and the last hinted byte; the bytes between two hints in one
 * block count as hinted. Bytes that were written without a hint are not published, and may be
 * lost when a grant brings that block, and are when the replica becomes void.
 *
 * Any thread may give a hint, before or after the write; that takes no lock and allocates nothing.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_HINT_H
#define COMMON_CLIENT_TRACK_DIRTY_HINT_H

#include "common/client/track/dirty.h"

extern const struct dirty_ops dirty_hint;

#endif
