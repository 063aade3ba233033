#include "smdish/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/server/core/memfile.h"
#include "common/wire/delta.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smdish/region.h"

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
	f->store_data = calloc(1, sizeof(struct region));
	return f->store_data == NULL ? -ENOMEM : 0;
}

static void
destroy(struct memfile *f)
{
	region_fini(f->store_data);
	free(f->store_data);
}

static int
map(struct memfile *f, uint32_t size)
{
	return region_init(f->store_data, size);
}

static void
usage(const struct memfile *f, struct store_usage *usage)
{
	const struct region *g = f->store_data;

	*usage = (struct store_usage){ g->reserved, g->committed, g->committed };
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

static size_t
grant_size(const struct memfile *f, uint64_t since)
{
	struct blockmap_run run = { 0 };
	size_t size = DELTA_COUNT_SIZE;

	while (blockmap_since(&f->blocks, since, run.first + run.count, &run))
		size += DELTA_PIECE_HEADER_SIZE + run_length(f, run);
	return size;
}

static void
grant_put(const struct memfile *f, uint64_t since, struct wire_writer *w)
{
	const struct region *g = f->store_data;
	struct wire_writer count = wire_writer(wire_put_room(w, DELTA_COUNT_SIZE),
	    DELTA_COUNT_SIZE);
	struct blockmap_run run = { 0 };
	uint32_t pieces = 0;

	for (; blockmap_since(&f->blocks, since, run.first + run.count, &run); pieces++) {
		wire_put_u32(w, run_offset(run));
		wire_put_u32(w, run_length(f, run));
		wire_put_bytes(w, g->base + run_offset(run), run_length(f, run));
	}
	wire_put_u32(&count, pieces);
}

/* Publishes length bytes at offset as grant. Their memory is committed. */
static void
publish(struct memfile *f, uint64_t grant, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
	struct region *g = f->store_data;
	uint32_t block;

	memcpy(g->base + offset, bytes, length);
	for (block = offset / SIZE_BLOCK; block <= (offset + length - 1) / SIZE_BLOCK; block++)
		blockmap_publish(&f->blocks, block, grant);
}

/* Reads the delta twice: first for every step that can fail, then for those that cannot. */
static int
release(struct memfile *f, uint64_t grant, struct wire_reader *r)
{
	struct wire_reader second = *r;
	struct delta_piece piece;
	struct delta delta;
	int more;

	delta_begin(&delta, r, f->size);
	while ((more = delta_next(&delta, &piece)) > 0) {
		/*
		 * Grants send whole blocks: extents consist of whole blocks, so these are
		 * committed.
		 */
		more = region_commit(f->store_data, piece.offset, piece.length);
		if (more != 0)
			return more;
	}
	if (more < 0)
		return more;
	if (!wire_is_done(r))
		return -EPROTO;
	delta_begin(&delta, &second, f->size);
	while (delta_next(&delta, &piece) > 0)
		publish(f, grant, piece.offset, piece.bytes, piece.length);
	return 0;
}

static size_t
lock_size(const struct memfile *f)
{
	return 4 + (size_t)f->size;
}

/* The whole segment; a block that was never published is zeros, and may have no memory. */
static void
lock_put(const struct memfile *f, struct wire_writer *w)
{
	const struct region *g = f->store_data;
	struct blockmap_run run = { 0 };
	uint8_t *room;

	wire_put_u32(w, f->size);
	room = wire_put_room(w, f->size);
	if (room == NULL)
		return;
	memset(room, 0, f->size);
	while (blockmap_since(&f->blocks, 0, run.first + run.count, &run))
		memcpy(room + run_offset(run), g->base + run_offset(run), run_length(f, run));
}

static bool
unlock_is_shaped(struct wire_reader r, uint64_t missing)
{
	uint32_t size = wire_get_u32(&r);

	return !r.failed && size == r.left + missing;
}

static bool
block_is_zero(const uint8_t *bytes, uint32_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* True when bytes are not those that were last published of the block. */
static bool
block_differs(const struct memfile *f, uint32_t block, const uint8_t *bytes, uint32_t length)
{
	const struct region *g = f->store_data;

	if (f->blocks.versions[block] == 0)
		return !block_is_zero(bytes, length);
	return memcmp(g->base + (size_t)block * SIZE_BLOCK, bytes, length) != 0;
}

/*
 * A client of version 1 sends the whole segment: publishes the blocks that it changed. The first
 * pass does every step that can fail.
 */
static int
unlock(struct memfile *f, uint64_t grant, struct wire_reader *r)
{
	uint32_t size = wire_get_u32(r), block;
	const uint8_t *bytes = wire_get_bytes(r, size);
	int pass, error;

	if (bytes == NULL || size != f->size)
		return -EINVAL;
	for (pass = 0; pass < 2; pass++) {
		for (block = 0; block < f->blocks.count; block++) {
			struct blockmap_run one = { block, 1 };
			uint32_t offset = run_offset(one), length = run_length(f, one);

			if (!block_differs(f, block, bytes + offset, length))
				continue;
			if (pass == 1)
				publish(f, grant, offset, bytes + offset, length);
			else if ((error = region_commit(f->store_data, offset, length)) != 0)
				return error;
		}
	}
	return 0;
}

const struct store_ops smdish_store = {
	.name = "smdish",
	.name_limit = PROTOCOL_SMDISH_NAME_MOST + 1,
	.check_name = check_name,
	.create = create,
	.destroy = destroy,
	.map = map,
	.usage = usage,
	.grant_size = grant_size,
	.grant_put = grant_put,
	.release = release,
	.lock_size = lock_size,
	.lock_put = lock_put,
	.unlock_is_shaped = unlock_is_shaped,
	.unlock = unlock,
};
