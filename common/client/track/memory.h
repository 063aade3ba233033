/*
 * memory: private memory for segments. It is left out of core dumps, and wiped before it is
 * unmapped.
 *
 * Inside an enclave the host cannot read it. Outside, a kernel that lies can, as with all memory.
 */
#ifndef COMMON_CLIENT_TRACK_MEMORY_H
#define COMMON_CLIENT_TRACK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"

/* A block of zeros. */
extern const uint8_t memory_zeros[SIZE_BLOCK];

/* Maps room bytes, whole pages of zeros; hint as for mmap(2). Returns NULL on failure. */
uint8_t *memory_map(void *hint, size_t room);

/*
 * Wipes the first size bytes of a mapping of room bytes, even if the program has made it read-only,
 * and unmaps it.
 */
void memory_unmap(uint8_t *memory, size_t size, size_t room);

/* Zeroes size bytes. Does not write to blocks of zeros, which may have no memory yet. */
void memory_zero(uint8_t *bytes, size_t size);

#endif
