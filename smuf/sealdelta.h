/*
 * sealdelta: the sizes of smuf's deltas on the wire (PROTOCOL 5.8), for the store and the client.
 *
 *	grant	32 bytes key, u32 count; each: u32 block, u64 version, u8 slot, 16 bytes tag
 *	release	u32 count; each: u32 block, u8 slot, 16 bytes tag
 */
#ifndef SMUF_SEALDELTA_H
#define SMUF_SEALDELTA_H

#include "common/crypto/sealbox.h"

enum {
	SEALDELTA_GRANT_HEAD_SIZE = SEALBOX_KEY_SIZE + 4,
	SEALDELTA_GRANT_PIECE_SIZE = 4 + 8 + 1 + SEALBOX_TAG_SIZE,
	SEALDELTA_RELEASE_HEAD_SIZE = 4,
	SEALDELTA_RELEASE_PIECE_SIZE = 4 + 1 + SEALBOX_TAG_SIZE
};

#endif
