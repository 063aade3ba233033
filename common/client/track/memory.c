#include "common/client/track/memory.h"

#include <string.h>
#include <sys/mman.h>

const uint8_t memory_zeros[SIZE_BLOCK];

uint8_t *
memory_map(void *hint, size_t room)
{
	void *memory = mmap(hint, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A library OS that does not know it writes no core dumps either. */
	(void)madvise(memory, room, MADV_DONTDUMP);
	return memory;
}

void
memory_unmap(uint8_t *memory, size_t size, size_t room)
{
	if (mprotect(memory, room, PROT_READ | PROT_WRITE) == 0)
		memory_zero(memory, size);
	(void)munmap(memory, room);
}

void
memory_zero(uint8_t *bytes, size_t size)
{
	size_t part;

	for (; size > 0; bytes += part, size -= part) {
		part = size_block_part((uintptr_t)bytes, (uintptr_t)bytes + size);
		if (memcmp(bytes, memory_zeros, part) != 0)
			explicit_bzero(bytes, part);
	}
}
