/*
 * dirty: what a program changed in its replica since the last grant or release: the interface of
 * the trackers.
 *
 * A tracker watches `base`, the program's mapping, and fills `shadow`, the library's copy of it.
 * It re-arms first and copies after; what is sent or sealed, and what becomes the shadow, is that
 * one copy. So a write that races with a release is either in the copy, and published, or is
 * still a change for the next collect; and no byte that was sent differs from the shadow.
 *
 * Invariant between calls: what is not reported by the next collect is equal in base and shadow,
 * except for writes that come after it (track=hint: and for what was written without a hint).
 *
 * Whatever tells a tracker where to look, it reports what differs from the shadow there. So what a
 * grant brings, which is written to both, is no change, and a write that races with it is one.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_H
#define COMMON_CLIENT_TRACK_DIRTY_H

#include <stddef.h>
#include <stdint.h>

/* A run of changed bytes; its copy is at the same offset of the shadow. */
struct dirty_piece {
	uint32_t offset; /* in the segment, bytes */
	uint32_t length; /* bytes, at least 1 */
};

struct dirty_ops;

/* What a tracker works on; owned by the replica. */
struct dirty {
	const struct dirty_ops *ops;
	uint8_t *base;
	uint8_t *shadow;
	uint32_t size;              /* of both, bytes */
	size_t room;                /* of both: size in whole pages */
	struct dirty_piece *pieces; /* room for one a block */
	uint32_t count;             /* of the pieces that the last collect left */
	void *state;                /* the tracker's own */
};

/* All but hint are called by whoever has the replica. Only name and collect must not be NULL. */
struct dirty_ops {
	const char *name; /* as in track= */

	/* Makes d->state; base and shadow are equal. Returns 0 or a negative errno, with words. */
	int (*init)(struct dirty *d);

	/* Frees d->state, which is NULL when init failed. Leaves base as it is. */
	void (*fini)(struct dirty *d);

	/* A grant is about to write length bytes at offset, to base and shadow. */
	void (*prepare_write)(struct dirty *d, uint32_t offset, uint32_t length);

	/* sm_dirty(), in range; by any thread. */
	void (*hint)(struct dirty *d, uint32_t offset, uint32_t length);

	/*
	 * Re-arms, copies what changed from base to shadow and leaves it in d->pieces: ascending,
	 * disjoint, at most one piece a block, adjoining ones merged. Returns 0 or a negative
	 * errno; the shadow is then not to be relied on (the replica is void).
	 */
	int (*collect)(struct dirty *d);

	/*
	 * In a fork's child, before anything else: lets go of what is the parent's. What was
	 * written up to now need not be found. Returns 0, or a negative errno, with words, and
	 * d->state is NULL: only init or fini may follow.
	 */
	int (*fork_child)(struct dirty *d);
};

/* Adds a piece above all that are there. Merges it with the last one where they adjoin. */
static inline void
dirty_add(struct dirty *d, uint32_t offset, uint32_t length)
{
	struct dirty_piece *last = d->pieces + d->count - (d->count > 0);

	if (d->count > 0 && last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	d->pieces[d->count++] = (struct dirty_piece){ offset, length };
}

#endif
