/*
 * tracked: a replica under each tracker in turn, for tests that hold for all of them (DESIGN 8).
 *
 * A test gets its tracker as its state: a const struct dirty_ops *. TRACKED_ALL(body) are four
 * tests for an array of them. There is one replica at a time.
 */
#ifndef TESTS_UNIT_TRACKED_H
#define TESTS_UNIT_TRACKED_H

#include <stdint.h>

#include "common/client/replica.h"
#include "common/client/track/dirty_auto.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/dirty_hint.h"
#include "common/client/track/dirty_uffd.h"

#define TRACKED(body, tracker) \
	{ \
#body " [" #tracker "]", body, NULL, NULL, (void *)&dirty_##tracker \
	}
#define TRACKED_ALL(body) \
	TRACKED(body, diff), TRACKED(body, uffd), TRACKED(body, hint), TRACKED(body, auto)

extern struct replica replica;
extern struct dirty *const dirty; /* the one of replica */

/* Skips the test, with the reason, where there is no uffd. */
void tracked_need_uffd(void);

/* Maps the replica with the tracker in *state, or skips the test where there is no such tracker. */
void tracked_begin(void **state, uint32_t size);
void tracked_end(void);

/* The program has written there. */
void tracked_wrote(uint32_t offset, uint32_t length);

/* Writes length bytes of value. */
void tracked_set(uint32_t offset, int value, uint32_t length);

/* Releases without a change until dirty_auto would watch; does nothing to other trackers. */
void tracked_idle(void);

/* Collects, and checks that there is exactly one piece, or none. */
void tracked_expect_piece(uint32_t offset, uint32_t length);
void tracked_expect_nothing(void);

/* Applies a grant of that version with these bytes. */
void tracked_grant(uint64_t version, uint32_t offset, const void *bytes, uint32_t length);

#endif
