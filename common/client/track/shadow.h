/*
 * shadow: the library's copy of a segment, which the program cannot see. The trackers compare the
 * program's mapping with it, the blocks of a grant wait in it until all of them have verified, and
 * the backends send or seal it.
 *
 * It is as large as the segment, so it exists only where it is needed: from a process's first lock
 * on, and not in a fork's child before its own first lock. Where the kernel can withhold memory
 * from children (MADV_DONTFORK), a fork costs nothing for it. A library OS cannot, and copies all
 * memory at fork(2): there the replica unmaps the shadow before a fork, unless a critical section
 * needs it. Where mapping and shadow were equal, the next shadow is a copy of the mapping.
 *
 * A block that nobody wrote since the shadow was mapped is *blank*: zeros without memory behind
 * them. Comparing with a blank block reads the mapping only.
 */
#ifndef COMMON_CLIENT_TRACK_SHADOW_H
#define COMMON_CLIENT_TRACK_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/client/track/dirty.h"
#include "common/client/track/memory.h"

/* Maps the shadow of d, which has none: all of it is blank. Returns 0 or -ENOMEM. */
int shadow_map(struct dirty *d);

/* The same, with the contents of d->base; blocks of zeros are blank. */
int shadow_map_as_base(struct dirty *d);

/* True when the shadow, which there is, has the bytes of d->base. */
bool shadow_is_as_base(const struct dirty *d);

/* Wipes and unmaps it, if there is one. Its contents are lost. */
void shadow_unmap(struct dirty *d);

/* True when a fork copies it for the child. False when there is none. */
bool shadow_is_copied_by_fork(const struct dirty *d);

/* In a fork's child: gives up what it has of the parent's shadow. It has none then. */
void shadow_fork_child(struct dirty *d);

/* The caller is about to write length bytes at offset of d->shadow. */
void shadow_will_write(struct dirty *d, uint32_t offset, uint32_t length);

/* Zeroes them. */
void shadow_zero(struct dirty *d, uint32_t offset, uint32_t length);

/* The bytes at offset, up to the end of its block, for reading. */
static inline const uint8_t *
shadow_at(const struct dirty *d, uint32_t offset)
{
	return d->is_written[offset / SIZE_BLOCK] ? d->shadow + offset :
						    memory_zeros + offset % SIZE_BLOCK;
}

#endif
