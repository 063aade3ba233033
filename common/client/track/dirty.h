/*
 * dirty: the interface of the trackers, which find what a program changed in its replica since the
 * last grant or release (DESIGN 8).
 *
 * A tracker watches `base`, the program's mapping, and fills `shadow`, the library's copy of it. It
 * re-arms first and copies after; that one copy is what the backend sends or seals, and what
 * becomes the shadow. So a write that races with a release is either in the copy, and published, or
 * still a change for the next collect; and no byte that was sent differs from the shadow.
 *
 * Invariant between calls: bytes that the next collect does not report are equal in base and
 * shadow, except for writes that come after it (and, with track=hint, for bytes that were written
 * without a hint).
 *
 * Each tracker decides only where to look. It reports the bytes there that differ from the shadow.
 * So the bytes of a grant, which is written to both, are no change, and a write that races with the
 * grant is one.
 *
 * The replica maps the shadow before a lock is acquired; without it only init, fini, hint and
 * fork_child are called.
 */
#ifndef COMMON_CLIENT_TRACK_DIRTY_H
#define COMMON_CLIENT_TRACK_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"

/* A run of changed bytes; its copy is at the same offset of the shadow. */
struct dirty_piece {
	uint32_t offset; /* in the segment, bytes */
	uint32_t length; /* bytes, at least 1 */
};

struct dirty_ops;

/* The data of a tracker; owned by the replica. */
struct dirty {
	const struct dirty_ops *ops;
	uint8_t *base;
	uint8_t *shadow;            /* see shadow.h; NULL while there is none */
	bool *is_written;           /* a block: false while it is blank in the shadow */
	bool is_withheld;           /* no child of a fork gets the shadow */
	uint32_t size;              /* of both, bytes */
	size_t room;                /* of both: size in whole pages */
	struct dirty_piece *pieces; /* room for one a block */
	uint32_t count; /* of the pieces of the last collect, or of those that replica.h stages */
	void *state;    /* private to the tracker */
};

/*
 * The holder of the file's local lock calls all functions but hint. Only name and collect must not
 * be NULL.
 */
struct dirty_ops {
	const char *name; /* as in track= */

	/*
	 * Makes d->state; base is zeros, or the next grant brings all of it. Returns 0 or a
	 * negative errno, with a message.
	 */
	int (*init)(struct dirty *d);

	/* Frees d->state, which is NULL when init failed. Leaves base as it is. */
	void (*fini)(struct dirty *d);

	/* The caller is about to write length bytes of a grant at offset, to base. */
	void (*prepare_write)(struct dirty *d, uint32_t offset, uint32_t length);

	/* sm_dirty(), in range. Any thread may call this at any time. */
	void (*hint)(struct dirty *d, uint32_t offset, uint32_t length);

	/*
	 * Re-arms, copies the changes from base to shadow and lists them in d->pieces: ascending,
	 * disjoint, at most one piece a block, adjoining ones merged. Returns 0 or a negative
	 * errno; the shadow is then unreliable (the replica is void).
	 */
	int (*collect)(struct dirty *d);

	/*
	 * In a fork's child, before any other call: gives up what belongs to the parent. Changes
	 * made before the fork need not be found. Returns 0, or a negative errno, with a message,
	 * and d->state is NULL: only init or fini may follow.
	 */
	int (*fork_child)(struct dirty *d);
};

/* Adds a piece above all others. Merges it with the last one where they adjoin. */
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

/* The first and the last block that a piece covers, in whole or in part. */
static inline uint32_t
dirty_first_block(const struct dirty_piece *p)
{
	return p->offset / SIZE_BLOCK;
}

static inline uint32_t
dirty_last_block(const struct dirty_piece *p)
{
	return (p->offset + p->length - 1) / SIZE_BLOCK;
}

/* A position among the blocks of all pieces; all zeros: before the first. */
struct dirty_cursor {
	uint32_t piece;
	uint32_t block; /* the least that may be next */
};

/*
 * Finds the next block that a piece covers: ascending, each block once. False when there is none.
 */
static inline bool
dirty_next_block(const struct dirty *d, struct dirty_cursor *c, uint32_t *block)
{
	uint32_t first;

	for (; c->piece < d->count; c->piece++) {
		first = dirty_first_block(&d->pieces[c->piece]);
		if (c->block < first)
			c->block = first;
		if (c->block <= dirty_last_block(&d->pieces[c->piece])) {
			*block = c->block++;
			return true;
		}
	}
	return false;
}

#endif
