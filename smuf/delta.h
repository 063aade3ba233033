/*
 * delta: smuf's deltas on the wire (DESIGN 5), for store and backend.
 *
 *	grant	32 bytes key, u32 count; each: u32 block, u64 version, u8 slot, 16 bytes tag
 *	release	u32 count; each: u32 block, u8 slot, 16 bytes tag
 */
#ifndef SMUF_DELTA_H
#define SMUF_DELTA_H

#include "common/crypto/sealbox.h"

enum {
	DELTA_GRANT_HEAD_SIZE = SEALBOX_KEY_SIZE + 4,
	DELTA_GRANT_PIECE_SIZE = 4 + 8 + 1 + SEALBOX_TAG_SIZE,
	DELTA_RELEASE_HEAD_SIZE = 4,
	DELTA_RELEASE_PIECE_SIZE = 4 + 1 + SEALBOX_TAG_SIZE
};

#endif
