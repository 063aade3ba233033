#include "smdish/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/server/core/account.h"
#include "common/server/core/memfile.h"
#include "common/wire/delta.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smdish/publish.h"
#include "smdish/segment.h"

static int
start(void **context, const char *directory)
{
	struct segments *all = calloc(1, sizeof *all);

	(void)directory;
	if (all == NULL)
		return -ENOMEM;
	pool_init(&all->pool);
	*context = all;
	return 0;
}

static void
stop(void *context)
{
	struct segments *all = context;

	if (all == NULL)
		return;
	pool_fini(&all->pool);
	free(all);
}

/* Every name is good: no part of it reaches a file system. */
static int
check_name(const char *name, size_t size)
{
	(void)name;
	(void)size;
	return 0;
}

static int
create(struct memfile *f)
{
	f->store_data = calloc(1, sizeof(struct segment));
	return f->store_data == NULL ? -ENOMEM : 0;
}

static void
destroy(struct memfile *f)
{
	segment_end(segment_of(f), f);
}

static int
map(struct memfile *f, uint32_t size)
{
	struct segments *all = f->tree->store_context;
	struct segment *s = segment_of(f);
	int error = marks_init(&s->marks, size_block_count(size));

	if (error == 0)
		error = parts_init(&s->parts, size_block_count(size));
	pool_set_limit(&all->pool, f->account->accounts->limit[ACCOUNT_SEGMENTS]);
	if (error == 0)
		error = region_init(&s->region, &all->pool, size);
	if (error != 0) {
		marks_fini(&s->marks);
		parts_fini(&s->parts);
	}
	return error;
}

static void
usage(const struct memfile *f, struct store_usage *usage)
{
	const struct segment *s = segment_of(f);
	uint64_t committed = s->committed < f->size ? s->committed : f->size;

	*usage = (struct store_usage){ s->region.reserved, s->committed, committed };
}

/*
 * The next piece after the run of c: a run of whole blocks, or one block of which a part does.
 * Returns false when there is none.
 */
static bool
next_run(const struct memfile *f, struct store_cursor *c)
{
	const struct blockmap *blocks = &f->blocks;
	const struct parts *parts = &segment_of(f)->parts;
	uint32_t first = blockmap_next(blocks, c->since, c->run.first + c->run.count), end;

	if (first == blocks->count)
		return false;
	end = first + 1;
	if (parts_get(parts, first, c->since) == NULL)
		while (end < blocks->count && blocks->versions[end] > c->since &&
		    parts_get(parts, end, c->since) == NULL)
			end++;
	c->run = (struct blockmap_run){ first, end - first };
	return true;
}

/* The part that the run of c is, or NULL. */
static const struct part *
run_part(const struct memfile *f, const struct store_cursor *c)
{
	return parts_get(&segment_of(f)->parts, c->run.first, c->since);
}

/* The offset in the segment of the piece of c. */
static uint32_t
piece_offset(const struct memfile *f, const struct store_cursor *c)
{
	const struct part *part = run_part(f, c);

	return c->run.first * SIZE_BLOCK + (part != NULL ? part->first : 0);
}

/* The size in bytes of the piece of c: the segment's last block may be shorter. */
static uint32_t
piece_length(const struct memfile *f, const struct store_cursor *c)
{
	const struct part *part = run_part(f, c);
	uint64_t end = (uint64_t)(c->run.first + c->run.count) * SIZE_BLOCK;

	if (part != NULL)
		return part->end - part->first;
	return (uint32_t)((end < f->size ? end : f->size) - c->run.first * SIZE_BLOCK);
}

static void
grant_begin(const struct memfile *f, uint64_t since, struct store_cursor *c)
{
	struct store_cursor all = { .since = since, .size = DELTA_COUNT_SIZE };

	for (; next_run(f, &all); all.count++)
		all.size += DELTA_PIECE_HEADER_SIZE + piece_length(f, &all);
	*c = (struct store_cursor){ .since = since, .size = all.size, .count = all.count };
}

/* Finds the next piece and writes its head. Returns false when there is none, or no room. */
static bool
begin_piece(const struct memfile *f, struct store_cursor *c, struct wire_writer *w)
{
	if (w->left < DELTA_PIECE_HEADER_SIZE || !next_run(f, c))
		return false;
	wire_put_u32(w, piece_offset(f, c));
	wire_put_u32(w, piece_length(f, c));
	return true;
}

static size_t
grant_put(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room)
{
	const uint8_t *base = segment_of(f)->region.base;
	struct wire_writer w = wire_writer(out, room);
	uint64_t left;
	size_t n;

	if (!c->has_begun) {
		wire_put_u32(&w, c->count);
		c->has_begun = true;
	}
	/* c->done counts bytes of the piece, without the head. */
	while (w.left > 0) {
		left = c->run.count == 0 ? 0 : piece_length(f, c) - c->done;
		if (left == 0) {
			if (!begin_piece(f, c, &w))
				break;
			c->done = 0;
			continue;
		}
		n = left < w.left ? (size_t)left : w.left;
		wire_put_bytes(&w, base + piece_offset(f, c) + c->done, n);
		c->done += n;
	}
	c->size -= room - w.left;
	return room - w.left;
}

enum { LOCK_HEAD_SIZE = 4 };

static void
lock_begin(const struct memfile *f, struct store_cursor *c)
{
	*c = (struct store_cursor){ .size = LOCK_HEAD_SIZE + (uint64_t)f->size };
}

/* The whole segment; a block that was never published is zeros, and may have no memory. */
static size_t
lock_put(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room)
{
	const uint8_t *base = segment_of(f)->region.base;
	struct wire_writer w = wire_writer(out, room);
	size_t n;

	if (!c->has_begun) {
		wire_put_u32(&w, f->size);
		c->has_begun = true;
	}
	for (; c->done < f->size && w.left > 0; c->done += n) {
		n = size_block_part(c->done, f->size);
		if (n > w.left)
			n = w.left;
		if (f->blocks.versions[c->done / SIZE_BLOCK] == 0)
			memset(wire_put_room(&w, n), 0, n);
		else
			wire_put_bytes(&w, base + c->done, n);
	}
	c->size -= room - w.left;
	return room - w.left;
}

static bool
unlock_is_shaped(struct wire_reader r, uint64_t missing)
{
	uint32_t size = wire_get_u32(&r);

	return !r.failed && size == r.left + missing;
}

const struct store_ops smdish_store = {
	.name = "smdish",
	.name_limit = PROTOCOL_SMDISH_NAME_MOST + 1,
	.start = start,
	.stop = stop,
	.check_name = check_name,
	.file_size = sizeof(struct segment),
	.create = create,
	.destroy = destroy,
	.map = map,
	.usage = usage,
	.grant_begin = grant_begin,
	.grant_put = grant_put,
	.release = publish_delta,
	.lock_begin = lock_begin,
	.lock_put = lock_put,
	.unlock_is_shaped = unlock_is_shaped,
	.unlock = publish_whole,
};
