#include "common/client/track/dirty_hint.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/size.h"
#include "common/client/track/dirty_diff.h"

enum { WORD = 64 }; /* blocks that a word of is_hinted covers */

/*
 * The range of a block is the offset of its first hinted byte, shifted by 16, and the offset behind
 * its last one; 0: no hint. A hint sets the range before the bit, and a collect takes the bit
 * before the range: so a bit may come without a range, but no range stays without a bit.
 */
struct hints {
	uint32_t words;              /* of is_hinted */
	_Atomic uint64_t *is_hinted; /* a bit a block */
	_Atomic uint32_t ranges[];   /* one a block */
};

static int
init(struct dirty *d)
{
	uint32_t blocks = size_block_count(d->size);
	struct hints *h = calloc(1, sizeof *h + blocks * sizeof h->ranges[0]);

	if (h == NULL)
		return -ENOMEM;
	h->words = (blocks + WORD - 1) / WORD;
	h->is_hinted = calloc(h->words, sizeof *h->is_hinted);
	if (h->is_hinted == NULL) {
		free(h);
		return -ENOMEM;
	}
	d->state = h;
	return 0;
}

static void
fini(struct dirty *d)
{
	struct hints *h = d->state;

	if (h != NULL)
		free(h->is_hinted);
	free(h);
	d->state = NULL;
}

/* Widens the range of a block to cover the bytes from first up to end. */
static void
widen(struct hints *h, uint32_t block, uint32_t first, uint32_t end)
{
	uint32_t old = atomic_load_explicit(&h->ranges[block], memory_order_relaxed), wide;

	do {
		wide = old == 0 || first < old >> 16 ? first << 16 : old & 0xffff0000;
		wide |= end > (old & 0xffff) ? end : old & 0xffff;
	} while (!atomic_compare_exchange_weak(&h->ranges[block], &old, wide));
	atomic_fetch_or(&h->is_hinted[block / WORD], UINT64_C(1) << block % WORD);
}

static void
hint(struct dirty *d, uint32_t offset, uint32_t length)
{
	uint32_t end = offset + length, part;

	for (; offset < end; offset += part) {
		part = (uint32_t)size_block_part(offset, end);
		widen(d->state, offset / SIZE_BLOCK, offset % SIZE_BLOCK,
		    offset % SIZE_BLOCK + part);
	}
}

static void
collect_block(struct dirty *d, uint32_t block)
{
	struct hints *h = d->state;
	uint32_t range = atomic_exchange(&h->ranges[block], 0), start = block * SIZE_BLOCK;

	dirty_diff_range(d, start + (range >> 16), start + (range & 0xffff));
}

static int
collect(struct dirty *d)
{
	struct hints *h = d->state;
	uint64_t bits;
	uint32_t i;

	d->count = 0;
	for (i = 0; i < h->words; i++) {
		if (atomic_load_explicit(&h->is_hinted[i], memory_order_relaxed) == 0)
			continue;
		for (bits = atomic_exchange(&h->is_hinted[i], 0); bits != 0; bits &= bits - 1)
			collect_block(d, i * WORD + (uint32_t)__builtin_ctzll(bits));
	}
	return 0;
}

const struct dirty_ops dirty_hint = {
	.name = "hint",
	.init = init,
	.fini = fini,
	.hint = hint,
	.collect = collect,
};
