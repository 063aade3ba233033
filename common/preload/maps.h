/*
 * maps: mmap() of memory files, and the other calls that name memory by its address.
 *
 * A shared mapping is the replica of the segment (memfile.h): readable and writable whatever is
 * asked for, since the library writes what other processes publish. mmap() counts, munmap() of the
 * whole mapping counts down; the memory stays until the file is closed. A private mapping is a copy
 * in memory of its own.
 *
 * maps_has() costs other calls with an address two comparisons, unless they are between the lowest
 * and the highest mapping of a memory file.
 */
#ifndef COMMON_PRELOAD_MAPS_H
#define COMMON_PRELOAD_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/preload/memfile.h"
#include "common/preload/process.h"

struct description;

/* A new mapping. Returns 0 or a negative errno. */
int maps_add(struct description *d, void *hint, size_t size, int protection, int flags,
    off_t offset, void **out);

/*
 * True when size bytes at address touch the mapping of a memory file. The library's own calls, from
 * within a call of ours, do not ask.
 */
static inline bool
maps_has(const void *address, size_t size)
{
	uintptr_t begin = (uintptr_t)address;

	return begin < atomic_load_explicit(&memfile_high, memory_order_relaxed) &&
	    begin + size > atomic_load_explicit(&memfile_low, memory_order_relaxed) &&
	    !process_is_inside() && memfile_is_mapped_at(address, size);
}

/* Ends a mapping. Returns 0; -EINVAL unless it is a whole one; or the error of closing the file. */
int maps_remove(const void *address, size_t size);

#endif
