#include "common/client/track/dirty_diff.h"

#include <stddef.h>
#include <string.h>

#include "common/base/size.h"
#include "common/client/track/shadow.h"

/*
 * Bytes that memcmp() compares at a time: it is fast, but does not return where the difference is.
 */
enum { STRIDE = 256, WORD = sizeof(uint64_t) };

static bool
differ_in_word(const uint8_t *a, const uint8_t *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x != y;
}

/* The first byte that differs; size when none does. */
static size_t
first_difference(const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t i = 0;

	while (size - i >= STRIDE && memcmp(a + i, b + i, STRIDE) == 0)
		i += STRIDE;
	while (size - i >= WORD && !differ_in_word(a + i, b + i))
		i += WORD;
	while (i < size && a[i] == b[i])
		i++;
	return i;
}

/* The offset behind the last byte that differs; 0 when none does. */
static size_t
last_difference(const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t end = size;

	while (end >= STRIDE && memcmp(a + end - STRIDE, b + end - STRIDE, STRIDE) == 0)
		end -= STRIDE;
	while (end >= WORD && !differ_in_word(a + end - WORD, b + end - WORD))
		end -= WORD;
	while (end > 0 && a[end - 1] == b[end - 1])
		end--;
	return end;
}

/* The bytes of a block differ: copies them to the shadow, from the first difference to the last. */
static void
collect_block(struct dirty *d, uint32_t offset, uint32_t size)
{
	const uint8_t *base = d->base + offset, *shadow = shadow_at(d, offset);
	size_t first, end;

	first = first_difference(base, shadow, size);
	end = last_difference(base, shadow, size);
	/* Another thread may have undone its change meanwhile. */
	if (first >= end)
		return;
	shadow_will_write(d, offset, size);
	memcpy(d->shadow + offset + first, base + first, end - first);
	dirty_add(d, offset + (uint32_t)first, (uint32_t)(end - first));
}

void
dirty_diff_range(struct dirty *d, uint32_t offset, uint32_t end)
{
	uint32_t size;

	for (; offset < end; offset += size) {
		size = (uint32_t)size_block_part(offset, end);
		if (memcmp(d->base + offset, shadow_at(d, offset), size) != 0)
			collect_block(d, offset, size);
	}
}

static int
collect(struct dirty *d)
{
	d->count = 0;
	dirty_diff_range(d, 0, d->size);
	return 0;
}

const struct dirty_ops dirty_diff = {
	.name = "diff",
	.collect = collect,
};
