#include "common/client/track/shadow.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int
shadow_map(struct dirty *d)
{
	assert(d->shadow == NULL);
	d->shadow = memory_map(NULL, d->room);
	if (d->shadow == NULL)
		return -ENOMEM;
	d->is_withheld = madvise(d->shadow, d->room, MADV_DONTFORK) == 0;
	memset(d->is_written, 0, size_block_count(d->size) * sizeof d->is_written[0]);
	return 0;
}

int
shadow_map_as_base(struct dirty *d)
{
	int error = shadow_map(d);
	uint32_t offset, size;

	for (offset = 0; offset < d->size && error == 0; offset += size) {
		size = (uint32_t)size_block_part(offset, d->size);
		if (memcmp(d->base + offset, memory_zeros, size) == 0)
			continue;
		shadow_will_write(d, offset, size);
		memcpy(d->shadow + offset, d->base + offset, size);
	}
	return error;
}

bool
shadow_is_as_base(const struct dirty *d)
{
	uint32_t offset = 0, size;

	for (; offset < d->size; offset += size) {
		size = (uint32_t)size_block_part(offset, d->size);
		if (memcmp(d->base + offset, shadow_at(d, offset), size) != 0)
			return false;
	}
	return true;
}

/* Zeroes the bytes from start up to end that are not blank. */
static void
zero(struct dirty *d, uint32_t start, uint32_t end)
{
	uint32_t part;

	for (; start < end; start += part) {
		part = (uint32_t)size_block_part(start, end);
		if (d->is_written[start / SIZE_BLOCK])
			memory_zero(d->shadow + start, part);
	}
}

void
shadow_unmap(struct dirty *d)
{
	if (d->shadow == NULL)
		return;
	zero(d, 0, d->size);
	(void)munmap(d->shadow, d->room);
	d->shadow = NULL;
}

bool
shadow_is_copied_by_fork(const struct dirty *d)
{
	return d->shadow != NULL && !d->is_withheld;
}

void
shadow_fork_child(struct dirty *d)
{
	/* Whatever is at its address now is not ours. */
	if (d->is_withheld)
		d->shadow = NULL;
	shadow_unmap(d);
}

void
shadow_will_write(struct dirty *d, uint32_t offset, uint32_t length)
{
	uint32_t first = offset / SIZE_BLOCK;

	if (length > 0)
		memset(d->is_written + first, true,
		    ((offset + length - 1) / SIZE_BLOCK - first + 1) * sizeof d->is_written[0]);
}

void
shadow_zero(struct dirty *d, uint32_t offset, uint32_t length)
{
	zero(d, offset, offset + length);
}
