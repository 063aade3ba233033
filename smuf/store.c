#include "smuf/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto/random.h"
#include "common/host/filename.h"
#include "common/host/slotfile.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/layout.h"
#include "smuf/memdir.h"
#include "smuf/mirror.h"
#include "smuf/sealdelta.h"
#include "smuf/storefile.h"
#include "smuf/turns.h"

static int
start(void **context, const char *directory)
{
	return memdir_open((struct memdir **)context, directory);
}

static void
stop(void *context)
{
	memdir_close(context);
}

_Static_assert(FILENAME_LIMIT == PROTOCOL_SMUF_NAME_MOST + 1, "PROTOCOL 8 and filename.h");

/* The name becomes the name of a host file. */
static int
check_name(const char *name, size_t size)
{
	static const char reserved[] = LAYOUT_DIRECTORY_LOCK_NAME;

	if (size == sizeof reserved - 1 && memcmp(name, reserved, size) == 0)
		return -EINVAL;
	return filename_check(name, size);
}

static int
create(struct memfile *f)
{
	struct storefile *s = calloc(1, sizeof *s);
	int error;

	if (s == NULL)
		return -ENOMEM;
	s->file = f;
	s->dir = f->tree->store_context;
	error = random_bytes(s->key, sizeof s->key);
	if (error == 0)
		error = storefile_create_lock(s);
	if (error != 0) {
		explicit_bzero(s, sizeof *s);
		free(s);
		return error;
	}
	f->store_data = s;
	if (f->version == PROTOCOL_VERSION_1)
		turns_begin(s);
	return 0;
}

static void
destroy(struct memfile *f)
{
	struct storefile *s = storefile_of(f);

	timer_disarm(f->tree->timers, &s->timer);
	storefile_remove(s);
	free(s->blocks);
	explicit_bzero(s, sizeof *s);
	free(s);
}

/* A segment file of version 1 is as long as the segment; one of version 2 has two slots a block. */
static int
map(struct memfile *f, uint32_t size)
{
	struct storefile *s = storefile_of(f);
	uint32_t count = size_block_count(size), i;
	uint64_t file_size = f->version == PROTOCOL_VERSION_1 ? size : slotfile_slots_size(size);
	struct sealed *blocks = calloc(count, sizeof *blocks);
	int error;

	if (blocks == NULL)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		blocks[i].slot = 1;
	error = storefile_create_segment(s, file_size);
	if (error != 0) {
		free(blocks);
		return error;
	}
	s->blocks = blocks;
	return 0;
}

static void
usage(const struct memfile *f, struct store_usage *usage)
{
	const struct storefile *s = storefile_of(f);
	struct blockmap_run run = { 0 };

	*usage = (struct store_usage){ .written = s->written };
	if (f->version == PROTOCOL_VERSION_1) {
		usage->reserved = f->size;
		usage->committed = s->written;
		return;
	}
	usage->reserved = slotfile_slots_size(f->size);
	while (blockmap_since(&f->blocks, 0, run.first + run.count, &run))
		usage->committed += (uint64_t)run.count * SIZE_BLOCK;
}

static void
lock_changed(struct memfile *f, enum store_event event)
{
	if (f->version == PROTOCOL_VERSION_1)
		turns_lock_changed(storefile_of(f), event);
	else
		mirror_lock_changed(storefile_of(f));
}

static bool
turn_is_served(const struct memfile *f, uint32_t turn)
{
	return turns_is_served(storefile_of(f), turn);
}

static size_t
grant_size(const struct memfile *f, uint64_t since)
{
	struct blockmap_run run = { 0 };
	size_t size = SEALDELTA_GRANT_HEAD_SIZE;

	while (blockmap_since(&f->blocks, since, run.first + run.count, &run))
		size += (size_t)run.count * SEALDELTA_GRANT_PIECE_SIZE;
	return size;
}

static void
put_block(const struct memfile *f, uint32_t block, struct wire_writer *w)
{
	const struct sealed *b = &storefile_of(f)->blocks[block];

	wire_put_u32(w, block);
	wire_put_u64(w, f->blocks.versions[block]);
	wire_put_u8(w, b->slot);
	wire_put_bytes(w, b->tag, sizeof b->tag);
}

static void
grant_put(const struct memfile *f, uint64_t since, struct wire_writer *w)
{
	const struct storefile *s = storefile_of(f);
	struct blockmap_run run = { 0 };
	struct wire_writer count;
	uint32_t pieces = 0, i;

	wire_put_bytes(w, s->key, sizeof s->key);
	count = wire_writer(wire_put_room(w, 4), 4);
	for (; blockmap_since(&f->blocks, since, run.first + run.count, &run); pieces += run.count)
		for (i = 0; i < run.count; i++)
			put_block(f, run.first + i, w);
	wire_put_u32(&count, pieces);
}

/*
 * Marks the count blocks of a release as named. Returns -EINVAL for a block that is out of range,
 * comes twice, or is in its current slot; the blocks before it stay marked.
 */
static int
mark_blocks(struct memfile *f, uint32_t count, struct wire_reader r)
{
	struct sealed *blocks = storefile_of(f)->blocks;

	for (; count > 0; count--) {
		uint32_t block = wire_get_u32(&r);
		uint8_t slot = wire_get_u8(&r);

		wire_get_bytes(&r, SEALBOX_TAG_SIZE);
		if (block >= f->blocks.count || slot >= SLOTFILE_SLOTS ||
		    slot == blocks[block].slot || blocks[block].is_named)
			return -EINVAL;
		blocks[block].is_named = true;
	}
	return 0;
}

/* Undoes mark_blocks(), also after it failed. */
static void
unmark_blocks(struct memfile *f, uint32_t count, struct wire_reader r)
{
	struct sealed *blocks = storefile_of(f)->blocks;

	for (; count > 0; count--) {
		uint32_t block = wire_get_u32(&r);

		wire_get_bytes(&r, 1 + SEALBOX_TAG_SIZE);
		if (block < f->blocks.count)
			blocks[block].is_named = false;
	}
}

static void
publish_block(struct memfile *f, uint64_t grant, struct wire_reader *r)
{
	struct storefile *s = storefile_of(f);
	uint32_t block = wire_get_u32(r);
	struct sealed *b = &s->blocks[block];

	b->is_named = false;
	b->slot = wire_get_u8(r);
	memcpy(b->tag, wire_get_bytes(r, sizeof b->tag), sizeof b->tag);
	if (!b->has_storage[b->slot])
		s->written += SIZE_BLOCK;
	b->has_storage[b->slot] = true;
	blockmap_publish(&f->blocks, block, grant);
}

/* First every step that can fail, then the steps that cannot. */
static int
release(struct memfile *f, uint64_t grant, struct wire_reader *r)
{
	uint32_t count = wire_get_u32(r), i;
	struct wire_reader pieces = *r;
	int error;

	if (r->failed || r->left != (uint64_t)count * SEALDELTA_RELEASE_PIECE_SIZE)
		return -EPROTO;
	error = mark_blocks(f, count, pieces);
	if (error != 0) {
		unmark_blocks(f, count, pieces);
		return error;
	}
	for (i = 0; i < count; i++)
		publish_block(f, grant, r);
	return 0;
}

/* Version 1: the server passes the client's own seal of the whole segment on to the next holder. */

enum { V1_SEAL_SIZE = 3 * 4 + STOREFILE_SEAL_SIZE };

static const uint32_t v1_fields[] = { SEALBOX_NONCE_SIZE, SEALBOX_KEY_SIZE, SEALBOX_TAG_SIZE };
enum { V1_FIELDS = sizeof v1_fields / sizeof v1_fields[0] };

static size_t
lock_size(const struct memfile *f)
{
	(void)f;
	return V1_SEAL_SIZE;
}

static void
lock_put(const struct memfile *f, struct wire_writer *w)
{
	const uint8_t *next = storefile_of(f)->seal;
	int i;

	for (i = 0; i < V1_FIELDS; next += v1_fields[i++]) {
		wire_put_u32(w, v1_fields[i]);
		wire_put_bytes(w, next, v1_fields[i]);
	}
}

static bool
unlock_is_shaped(struct wire_reader r, uint64_t missing)
{
	int i;

	if (r.left + missing != V1_SEAL_SIZE)
		return false;
	for (i = 0; i < V1_FIELDS; i++) {
		if (wire_get_u32(&r) != v1_fields[i])
			return false;
		wire_get_bytes(&r, v1_fields[i]);
	}
	return wire_is_done(&r);
}

static int
unlock(struct memfile *f, uint64_t grant, struct wire_reader *r)
{
	struct storefile *s = storefile_of(f);
	uint8_t *next = s->seal;
	int i;

	(void)grant;
	for (i = 0; i < V1_FIELDS; next += v1_fields[i++]) {
		wire_get_u32(r);
		memcpy(next, wire_get_bytes(r, v1_fields[i]), v1_fields[i]);
	}
	s->written = f->size;
	return 0;
}

const struct store_ops smuf_store = {
	.name = "smuf",
	.name_limit = PROTOCOL_SMUF_NAME_MOST + 1,
	.separates_versions = true,
	.has_turns = true,
	.keeps_stalled_holders = true,
	.start = start,
	.stop = stop,
	.check_name = check_name,
	.create = create,
	.destroy = destroy,
	.map = map,
	.usage = usage,
	.lock_changed = lock_changed,
	.turn_is_served = turn_is_served,
	.grant_size = grant_size,
	.grant_put = grant_put,
	.release = release,
	.lock_size = lock_size,
	.lock_put = lock_put,
	.unlock_is_shaped = unlock_is_shaped,
	.unlock = unlock,
};
