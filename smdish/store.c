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

	if (error != 0)
		return error;
	pool_set_limit(&all->pool, f->account->accounts->limit[ACCOUNT_SEGMENTS]);
	error = region_init(&s->region, &all->pool, size);
	if (error != 0)
		marks_fini(&s->marks);
	return error;
}

static void
usage(const struct memfile *f, struct store_usage *usage)
{
	const struct segment *s = segment_of(f);
	uint64_t committed = s->committed < f->size ? s->committed : f->size;

	*usage = (struct store_usage){ s->region.reserved, s->committed, committed };
}

/* The offset of a run of blocks in the segment. */
static uint32_t
run_offset(struct blockmap_run run)
{
	return run.first * SIZE_BLOCK;
}

/* The size of a run in bytes: the segment's last block may be shorter. */
static uint32_t
run_length(const struct memfile *f, struct blockmap_run run)
{
	uint64_t end = (uint64_t)(run.first + run.count) * SIZE_BLOCK;

	return (uint32_t)((end < f->size ? end : f->size) - run_offset(run));
}

static void
grant_begin(const struct memfile *f, uint64_t since, struct store_cursor *c)
{
	struct blockmap_run run = { 0 };

	*c = (struct store_cursor){ .since = since, .size = DELTA_COUNT_SIZE };
	for (; blockmap_since(&f->blocks, since, run.first + run.count, &run); c->count++)
		c->size += DELTA_PIECE_HEADER_SIZE + run_length(f, run);
}

/* Finds the next run and writes its head. Returns false when there is none, or no room. */
static bool
begin_run(const struct memfile *f, struct store_cursor *c, struct wire_writer *w)
{
	if (w->left < DELTA_PIECE_HEADER_SIZE ||
	    !blockmap_since(&f->blocks, c->since, c->run.first + c->run.count, &c->run))
		return false;
	wire_put_u32(w, run_offset(c->run));
	wire_put_u32(w, run_length(f, c->run));
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
	/* c->done counts bytes of the run's piece, without the head. */
	while (w.left > 0) {
		left = run_length(f, c->run) - c->done;
		if (left == 0) {
			if (!begin_run(f, c, &w))
				break;
			c->done = 0;
			continue;
		}
		n = left < w.left ? (size_t)left : w.left;
		wire_put_bytes(&w, base + run_offset(c->run) + c->done, n);
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
