#include "smuf/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto/random.h"
#include "common/host/filename.h"
#include "common/host/slotfile.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/currentdir.h"
#include "smuf/dirlock.h"
#include "smuf/layout.h"
#include "smuf/memdir.h"
#include "smuf/mirror.h"
#include "smuf/publish.h"
#include "smuf/removal.h"
#include "smuf/sealdelta.h"
#include "smuf/storefile.h"
#include "smuf/turns.h"
#include "smuf/visits.h"

static int
start(void **context, const char *directory)
{
	struct storefiles *all = calloc(1, sizeof *all);
	int error;

	if (all == NULL)
		return -ENOMEM;
	error = memdir_open(&all->dir, directory);
	if (error != 0) {
		free(all);
		return error;
	}
	schedule_queue_init(&all->queue, SCHEDULE_SESSIONS);
	visits_init(&all->mirrors, &all->queue, mirror_write);
	visits_init(&all->checks, &all->queue, turns_check);
	RB_INIT(&all->removals);
	*context = all;
	return 0;
}

static void
stop(void *context)
{
	struct storefiles *all = context;

	if (all == NULL)
		return;
	assert(RB_EMPTY(&all->removals));
	memdir_close(all->dir);
	free(all);
}

_Static_assert((int)STORE_KEEP_MS == (int)DIRLOCK_BEAT_MS, "a beat is what keep() does");

static int
keep(void *context, uint64_t now)
{
	struct storefiles *all = context;

	return memdir_keep(all->dir, now);
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
	s->all = f->tree->store_context;
	memcpy(s->name, f->name, f->name_size + 1);
	error = removal_continue(&s->all->removals, s->name);
	if (error == 0)
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

	if (f->version == PROTOCOL_VERSION_1)
		turns_end(s);
	else
		visits_remove(&s->all->mirrors, &s->visit);
	free(s->blocks);
	explicit_bzero(s->key, sizeof s->key);
	explicit_bzero(s->seal, sizeof s->seal);
	removal_begin(s, f);
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

	*usage = (struct store_usage){ .written = s->written, .committed = s->committed };
	usage->reserved = f->version == PROTOCOL_VERSION_1 ? f->size : slotfile_slots_size(f->size);
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

static void
grant_begin(const struct memfile *f, uint64_t since, struct store_cursor *c)
{
	struct blockmap_run run = { 0 };

	*c = (struct store_cursor){ .since = since };
	while (blockmap_since(&f->blocks, since, run.first + run.count, &run))
		c->count += run.count;
	c->size = SEALDELTA_GRANT_HEAD_SIZE + (uint64_t)c->count * SEALDELTA_GRANT_PIECE_SIZE;
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

/* A piece is written as a whole: it is shorter than the least room. */
static size_t
grant_put(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room)
{
	const struct storefile *s = storefile_of(f);
	struct wire_writer w = wire_writer(out, room);

	if (!c->has_begun) {
		wire_put_bytes(&w, s->key, sizeof s->key);
		wire_put_u32(&w, c->count);
		c->has_begun = true;
	}
	/* c->done counts blocks of the run. */
	while (w.left >= SEALDELTA_GRANT_PIECE_SIZE) {
		if (c->done == c->run.count) {
			if (!blockmap_since(&f->blocks, c->since, c->run.first + c->run.count,
				&c->run))
				break;
			c->done = 0;
		}
		put_block(f, c->run.first + (uint32_t)c->done++, &w);
	}
	c->size -= room - w.left;
	return room - w.left;
}

/* Version 1: the server passes the client's own seal of the whole segment on to the next holder. */

enum { V1_SEAL_SIZE = 3 * 4 + STOREFILE_SEAL_SIZE };

static const uint32_t v1_fields[] = { SEALBOX_NONCE_SIZE, SEALBOX_KEY_SIZE, SEALBOX_TAG_SIZE };
enum { V1_FIELDS = sizeof v1_fields / sizeof v1_fields[0] };

static void
lock_begin(const struct memfile *f, struct store_cursor *c)
{
	(void)f;
	*c = (struct store_cursor){ .size = V1_SEAL_SIZE };
}

/* A field is written as a whole. c->count counts fields, c->done their bytes in the seal. */
static size_t
lock_put(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room)
{
	const uint8_t *seal = storefile_of(f)->seal;
	struct wire_writer w = wire_writer(out, room);

	while (c->count < V1_FIELDS && w.left >= 4 + v1_fields[c->count]) {
		wire_put_u32(&w, v1_fields[c->count]);
		wire_put_bytes(&w, seal + c->done, v1_fields[c->count]);
		c->done += v1_fields[c->count++];
	}
	c->size -= room - w.left;
	return room - w.left;
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

/* The seal alone: no piece is long. */
static int
unlock(struct memfile *f, struct store_publication *p, const struct budget *b)
{
	struct storefile *s = storefile_of(f);
	struct wire_reader r = p->body;
	uint8_t *next = s->seal;
	int i;

	(void)b;
	for (i = 0; i < V1_FIELDS; next += v1_fields[i++]) {
		wire_get_u32(&r);
		memcpy(next, wire_get_bytes(&r, v1_fields[i]), v1_fields[i]);
	}
	s->written = s->committed = f->size;
	return 0;
}

const struct store_ops smuf_store = {
	.name = "smuf",
	.name_limit = PROTOCOL_SMUF_NAME_MOST + 1,
	.separates_versions = true,
	.has_turns = true,
	.keeps_stalled_holders = true,
	.file_size = sizeof(struct storefile),
	.start = start,
	.check_current = currentdir_check,
	.stop = stop,
	.keep = keep,
	.check_name = check_name,
	.create = create,
	.destroy = destroy,
	.map = map,
	.usage = usage,
	.lock_changed = lock_changed,
	.turn_is_served = turn_is_served,
	.grant_begin = grant_begin,
	.grant_put = grant_put,
	.release = publish_blocks,
	.lock_begin = lock_begin,
	.lock_put = lock_put,
	.unlock_is_shaped = unlock_is_shaped,
	.unlock = unlock,
};
