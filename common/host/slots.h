/*
 * slots: where the blocks of a segment are in a file of the host (DESIGN 6, 7): two slots for each,
 * so that a release never writes over what counts. Slot s of block b is at (2b+s)*4096; of a short
 * last block the rest is not used.
 */
#ifndef COMMON_HOST_SLOTS_H
#define COMMON_HOST_SLOTS_H

#include <stdint.h>

#include "common/base/size.h"

enum { SLOTS_PER_BLOCK = 2 };

/* Where a slot of a block begins. */
static inline uint64_t
slots_at(uint32_t block, unsigned slot)
{
	return (SLOTS_PER_BLOCK * (uint64_t)block + slot) * SIZE_BLOCK;
}

/* Bytes of all slots of a segment of size bytes. */
static inline uint64_t
slots_size(uint32_t size)
{
	return slots_at(size_block_count(size), 0);
}

/* Bytes of a block: the segment's last one may be shorter. */
static inline uint32_t
slots_block_size(uint32_t size, uint32_t block)
{
	uint32_t left = size - block * SIZE_BLOCK;

	return left < SIZE_BLOCK ? left : SIZE_BLOCK;
}

#endif
