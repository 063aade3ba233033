#include "smdish/publish.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/pace.h"
#include "common/base/size.h"
#include "common/server/core/store.h"
#include "smdish/segment.h"

enum {
	COPY_STEP = 64 * 1024, /* bytes */

	/* What these cost, in bytes copied. */
	CHECK_COST = 128,      /* of a piece, or the part of a block: a cache miss */
	TOUCH_COST = 2 * 1024, /* of the first write to a page */
	COMMIT_COST = 8 * 1024 /* of mprotect(2) */
};

/* A step of a publication. Returns 0 when it is done, -EINPROGRESS, or why it failed. */
typedef int step(struct memfile *, struct store_publication *, struct pace *);

/* Steps of both versions. */

/* The publication changes the blocks of length bytes at offset; length is at least 1. */
static void
mark(struct segment *s, uint32_t offset, uint32_t length)
{
	marks_add(&s->marks, offset / SIZE_BLOCK, (offset + length - 1) / SIZE_BLOCK);
	region_want(&s->region, offset, length);
}

/* Grants send blocks as a whole, too: extents consist of whole blocks, so these are committed. */
static int
commit(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	int more;

	(void)p;
	while ((more = region_commit(&segment_of(f)->region)) > 0)
		if (pace_is_over(pace, COMMIT_COST))
			return -EINPROGRESS;
	return more;
}

static int
finish(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	struct segment *s = segment_of(f);
	const struct marks *m = &s->marks;
	uint32_t block;

	(void)pace;
	for (block = m->first; (block = marks_next(m, block)) < m->end; block++)
		blockmap_publish(&f->blocks, block, p->grant);
	marks_clear(&s->marks);
	s->committed = s->region.committed;
	return 0;
}

/* Executes the steps that are left. */
static int
go_on(struct memfile *f, struct store_publication *p, const struct budget *b, step *const steps[],
    uint32_t count)
{
	struct segment *s = segment_of(f);
	struct pace pace = pace_begin(b);
	int error;

	for (; p->phase < count; p->phase++) {
		error = steps[p->phase](f, p, &pace);
		if (error == -EINPROGRESS)
			return error;
		if (error != 0) {
			marks_clear(&s->marks);
			region_unwant(&s->region);
			return error;
		}
	}
	return 0;
}

/* Version 2: the pieces of a delta. */

/* More pieces than blocks would take longer to check than the segment takes to copy. */
static int
begin_check(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	(void)pace;
	p->next = p->body;
	delta_begin(&p->delta, &p->next, f->size);
	if (p->delta.left > p->next.left / DELTA_PIECE_HEADER_SIZE)
		return -EPROTO;
	return p->delta.left > f->blocks.count ? -EINVAL : 0;
}

static int
check(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	int more;

	while ((more = delta_next(&p->delta, &p->piece)) > 0) {
		mark(segment_of(f), p->piece.offset, p->piece.length);
		if (pace_is_over(pace, CHECK_COST))
			return -EINPROGRESS;
	}
	if (more < 0)
		return more;
	return wire_is_done(&p->next) ? 0 : -EPROTO;
}

static int
begin_copy(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	(void)pace;
	p->next = p->body;
	delta_begin(&p->delta, &p->next, f->size);
	p->piece.length = p->piece_done = 0;
	return 0;
}

/* Copies the next bytes of the piece. Returns what this cost. */
static size_t
copy_some(struct region *g, struct store_publication *p)
{
	uint32_t n = p->piece.length - p->piece_done;

	if (n > COPY_STEP)
		n = COPY_STEP;
	memcpy(g->base + p->piece.offset + p->piece_done, p->piece.bytes + p->piece_done, n);
	p->piece_done += n;
	return n + TOUCH_COST;
}

static int
copy(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	for (;;) {
		if (p->piece_done == p->piece.length) {
			if (delta_next(&p->delta, &p->piece) <= 0)
				return 0;
			p->piece_done = 0;
		}
		if (pace_is_over(pace, copy_some(&segment_of(f)->region, p)))
			return -EINPROGRESS;
	}
}

/* Notes the part of the next block of the piece. */
static void
note_block(struct memfile *f, struct store_publication *p)
{
	struct parts *parts = &segment_of(f)->parts;
	uint32_t offset = p->piece.offset + p->piece_done, block = offset / SIZE_BLOCK;
	uint32_t first = offset % SIZE_BLOCK, end = SIZE_BLOCK;

	if (end - first > p->piece.length - p->piece_done)
		end = first + p->piece.length - p->piece_done;
	p->piece_done += end - first;
	/* The segment's last block is whole, too. */
	if (first == 0 && end == size_of_block(f->size, block))
		end = SIZE_BLOCK;
	/* p->block is behind the last block of the piece before. */
	if (block < p->block)
		parts_widen(parts, block, first, end);
	else
		parts_add(parts, block, first, end, f->blocks.versions[block], f->blocks.newest);
	p->block = block + 1;
}

/* Nothing can fail any more, and nobody reads the parts before the end. */
static int
note(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	for (;;) {
		if (p->piece_done == p->piece.length) {
			if (delta_next(&p->delta, &p->piece) <= 0)
				return 0;
			p->piece_done = 0;
		}
		note_block(f, p);
		if (pace_is_over(pace, CHECK_COST))
			return -EINPROGRESS;
	}
}

int
publish_delta(struct memfile *f, struct store_publication *p, const struct budget *b)
{
	static step *const steps[] = { begin_check, check, commit, begin_copy, copy, begin_copy,
		note, finish };

	/* The server may have moved *p. */
	p->delta.reader = &p->next;
	return go_on(f, p, b, steps, sizeof steps / sizeof steps[0]);
}

/* Version 1: the whole segment; the blocks that differ are published. */

static bool
block_is_zero(const uint8_t *bytes, uint32_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* True when bytes are not those that were last published of the block. */
static bool
block_differs(const struct memfile *f, uint32_t block, const uint8_t *bytes, uint32_t length)
{
	if (f->blocks.versions[block] == 0)
		return !block_is_zero(bytes, length);
	return memcmp(segment_of(f)->region.base + (size_t)block * SIZE_BLOCK, bytes, length) != 0;
}

static int
begin_compare(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	(void)pace;
	p->next = p->body;
	p->block = 0;
	return wire_get_u32(&p->next) == f->size && p->next.left >= f->size ? 0 : -EINVAL;
}

static int
compare(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	uint32_t length;

	while (p->block < f->blocks.count) {
		length = size_of_block(f->size, p->block);
		if (block_differs(f, p->block, p->next.next + (size_t)p->block * SIZE_BLOCK,
			length))
			mark(segment_of(f), p->block * SIZE_BLOCK, length);
		p->block++;
		if (pace_is_over(pace, length))
			return -EINPROGRESS;
	}
	p->block = 0;
	return 0;
}

static int
copy_blocks(struct memfile *f, struct store_publication *p, struct pace *pace)
{
	struct segment *s = segment_of(f);
	size_t offset, length;

	while ((p->block = marks_next(&s->marks, p->block)) < s->marks.end) {
		offset = (size_t)p->block * SIZE_BLOCK;
		length = size_of_block(f->size, p->block);
		memcpy(s->region.base + offset, p->next.next + offset, length);
		parts_add(&s->parts, p->block, 0, SIZE_BLOCK, f->blocks.versions[p->block],
		    f->blocks.newest);
		p->block++;
		if (pace_is_over(pace, length + TOUCH_COST))
			return -EINPROGRESS;
	}
	return 0;
}

int
publish_whole(struct memfile *f, struct store_publication *p, const struct budget *b)
{
	static step *const steps[] = { begin_compare, compare, commit, copy_blocks, finish };

	return go_on(f, p, b, steps, sizeof steps / sizeof steps[0]);
}
