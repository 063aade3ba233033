/*
 * slotfile: where the blocks of a segment are in a file of the host (smuf/FORMAT 3, smc/FORMAT 4):
 * two slots for each, so that a release never writes over the slot that is current. Slot s of block
 * b is at (2b+s)*4096; of a short last block the rest is not used.
 */
#ifndef COMMON_HOST_SLOTFILE_H
#define COMMON_HOST_SLOTFILE_H

#include <stdint.h>

#include "common/base/size.h"

enum { SLOTFILE_SLOTS = 2 }; /* of a block */

/* Where a slot of a block begins. */
static inline uint64_t
slotfile_offset(uint32_t block, unsigned slot)
{
	return (SLOTFILE_SLOTS * (uint64_t)block + slot) * SIZE_BLOCK;
}

/* Bytes of all slots of a segment of size bytes. */
static inline uint64_t
slotfile_slots_size(uint32_t size)
{
	return slotfile_offset(size_block_count(size), 0);
}

#endif
