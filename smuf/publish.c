#include "smuf/publish.h"

#include <errno.h>
#include <string.h>

#include "common/base/pace.h"
#include "common/server/core/store.h"
#include "smuf/sealdelta.h"
#include "smuf/storefile.h"

enum { PIECE_COST = 128 }; /* of a piece of a release, in bytes copied */

/* The phases of a release. */
enum { BEGIN, MARK, APPLY };

static int
begin_release(const struct memfile *f, struct store_publication *p)
{
	p->phase = MARK;
	p->next = p->body;
	p->remaining = wire_get_u32(&p->next);
	p->block = 0;
	if (p->next.failed || p->next.left != (uint64_t)p->remaining * SEALDELTA_RELEASE_PIECE_SIZE)
		return -EPROTO;
	return p->remaining > f->blocks.count ? -EINVAL : 0;
}

/*
 * Marks the next block of a release as named. Returns -EINVAL for a block that is out of range,
 * comes twice, or is in its current slot.
 */
static int
mark_block(struct memfile *f, struct wire_reader *r)
{
	struct sealed *blocks = storefile_of(f)->blocks;
	uint32_t block = wire_get_u32(r);
	uint8_t slot = wire_get_u8(r);

	wire_get_bytes(r, SEALBOX_TAG_SIZE);
	if (block >= f->blocks.count || slot >= SLOTFILE_SLOTS || slot == blocks[block].slot ||
	    blocks[block].is_named)
		return -EINVAL;
	blocks[block].is_named = true;
	return 0;
}

/* p->block is the number of pieces whose blocks are marked, also after an error. */
static int
mark_blocks(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	int error;

	while (p->remaining > 0) {
		error = mark_block(f, &p->next);
		if (error != 0)
			return error;
		p->remaining--;
		p->block++;
		if (pace_is_over(pace, PIECE_COST))
			return -EINPROGRESS;
	}
	p->phase = APPLY;
	p->next = p->body;
	p->remaining = wire_get_u32(&p->next);
	return 0;
}

/* Slots and tags are for holders of the lock: nobody reads them before the versions change. */
static int
apply_blocks(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	struct sealed *b;

	while (p->remaining > 0) {
		b = &storefile_of(f)->blocks[wire_get_u32(&p->next)];
		b->slot = wire_get_u8(&p->next);
		memcpy(b->tag, wire_get_bytes(&p->next, sizeof b->tag), sizeof b->tag);
		p->remaining--;
		if (pace_is_over(pace, PIECE_COST))
			return -EINPROGRESS;
	}
	return 0;
}

/* Undoes mark_blocks() after it failed. */
static void
unmark_blocks(struct memfile *f, const struct store_publication *p)
{
	struct sealed *blocks = storefile_of(f)->blocks;
	struct wire_reader r = p->body;
	uint32_t i;

	wire_get_u32(&r);
	for (i = 0; i < p->block; i++) {
		blocks[wire_get_u32(&r)].is_named = false;
		wire_get_bytes(&r, 1 + SEALBOX_TAG_SIZE);
	}
}

static void
publish_block(struct memfile *f, uint32_t block, uint64_t grant)
{
	struct storefile *s = storefile_of(f);
	struct sealed *b = &s->blocks[block];

	b->is_named = false;
	if (!b->has_storage[b->slot])
		s->written += SIZE_BLOCK;
	b->has_storage[b->slot] = true;
	if (f->blocks.versions[block] == 0)
		s->committed += size_of_block(f->size, block);
	blockmap_publish(&f->blocks, block, grant);
}

/*
 * The last step, at once. Many blocks are found by their marks: in the order of the pieces, which
 * may be any, each is a cache miss.
 */
static void
publish(struct memfile *f, const struct store_publication *p)
{
	const struct sealed *blocks = storefile_of(f)->blocks;
	struct wire_reader r = p->body;
	uint32_t count = wire_get_u32(&r), block;

	if (count > f->blocks.count / 16) {
		for (block = 0; block < f->blocks.count; block++)
			if (blocks[block].is_named)
				publish_block(f, block, p->grant);
		return;
	}
	for (; count > 0; count--) {
		publish_block(f, wire_get_u32(&r), p->grant);
		wire_get_bytes(&r, 1 + SEALBOX_TAG_SIZE);
	}
}

/* First every step that can fail, then those that cannot. */
int
publish_blocks(struct memfile *f, struct store_publication *p, const struct budget *b)
{
	struct pace pace = pace_begin(b);
	int error = 0;

	if (p->phase == BEGIN)
		error = begin_release(f, p);
	if (error == 0 && p->phase == MARK)
		error = mark_blocks(f, p, &pace);
	if (error == 0)
		error = apply_blocks(f, p, &pace);
	if (error == 0)
		publish(f, p);
	else if (error != -EINPROGRESS)
		unmark_blocks(f, p);
	return error;
}
