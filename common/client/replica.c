#include "common/client/replica.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/client/stats.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/memory.h"
#include "common/client/track/shadow.h"

static void
dirty_free(struct dirty *d)
{
	if (d->ops != NULL && d->ops->fini != NULL)
		d->ops->fini(d);
	if (d->base != NULL)
		memory_unmap(d->base, d->size, d->room);
	shadow_unmap(d);
	free(d->is_written);
	free(d->pieces);
}

int
replica_map(struct replica *r, void *hint, uint32_t size, bool is_full, const struct dirty_ops *ops)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
	/* With sync=full the tracker is never asked: take the one that needs nothing. */
	struct dirty d = { .ops = is_full ? &dirty_diff : ops, .size = size, .room = room };
	int error = -ENOMEM;

	assert(!replica_is_mapped(r) && size > 0);
	d.base = memory_map(hint, room);
	d.is_written = calloc(size_block_count(size), sizeof *d.is_written);
	/* Room for the worst case now, so that no release can fail for lack of memory. */
	d.pieces = calloc(size_block_count(size), sizeof *d.pieces);
	if (d.base != NULL && d.is_written != NULL && d.pieces != NULL)
		error = d.ops->init != NULL ? d.ops->init(&d) : 0;
	if (error != 0) {
		dirty_free(&d);
		return error;
	}
	*r = (struct replica){
		.dirty = d,
		.is_fresh = true,
		.is_full = is_full,
		.stats = r->stats,
	};
	return 0;
}

void
replica_unmap(struct replica *r)
{
	dirty_free(&r->dirty);
	*r = (struct replica){ .since = r->since, .stats = r->stats };
}

void
replica_void(struct replica *r)
{
	r->since = 0;
	r->is_fresh = false;
	r->is_in_base = false;
}

static void
prepare_write(struct replica *r, uint32_t offset, uint32_t length)
{
	struct dirty *d = &r->dirty;

	if (r->error == 0 && d->ops->prepare_write != NULL)
		d->ops->prepare_write(d, offset, length);
}

/*
 * Skips to offset: the grant does not name the bytes below it. Zeroes them if the grant names all
 * that was published.
 */
static void
advance(struct replica *r, uint32_t offset)
{
	struct dirty *d = &r->dirty;

	if (r->is_zeroing && offset > r->applied) {
		prepare_write(r, r->applied, offset - r->applied);
		memory_zero(d->base + r->applied, offset - r->applied);
		shadow_zero(d, r->applied, offset - r->applied);
	}
	r->applied = offset;
}

void
replica_grant_begin(struct replica *r, uint64_t version)
{
	bool is_unpublished = version == 0 && r->is_fresh;

	r->is_zeroing = replica_since(r) == 0 && !is_unpublished;
	r->applied = 0;
}

void
replica_grant_write(struct replica *r, uint32_t offset, const void *bytes, uint32_t length)
{
	struct dirty *d = &r->dirty;

	assert(offset >= r->applied && offset <= d->size && length <= d->size - offset);
	advance(r, offset);
	prepare_write(r, offset, length);
	memcpy(d->base + offset, bytes, length);
	if (bytes != d->shadow + offset) {
		shadow_will_write(d, offset, length);
		memcpy(d->shadow + offset, bytes, length);
	}
	r->applied = offset + length;
	if (r->stats != NULL)
		stats_add_received(r->stats, offset, length);
}

void
replica_grant_end(struct replica *r, uint64_t version)
{
	if (replica_is_mapped(r))
		advance(r, r->dirty.size);
	r->is_fresh = r->is_fresh && version == 0;
	r->since = version;
}

void
replica_stage_begin(struct replica *r)
{
	r->dirty.count = 0;
}

uint8_t *
replica_stage(struct replica *r, uint32_t block)
{
	struct dirty *d = &r->dirty;
	uint32_t offset = block * SIZE_BLOCK, size = size_of_block(d->size, block);

	assert(block < size_block_count(d->size));
	assert(d->count == 0 || dirty_last_block(&d->pieces[d->count - 1]) < block);
	dirty_add(d, offset, size);
	shadow_will_write(d, offset, size);
	return d->shadow + offset;
}

void
replica_apply_staged(struct replica *r, uint64_t version)
{
	const struct dirty *d = &r->dirty;
	struct dirty_cursor c = { 0 };
	uint32_t block, offset;

	replica_grant_begin(r, version);
	while (dirty_next_block(d, &c, &block)) {
		offset = block * SIZE_BLOCK;
		replica_grant_write(r, offset, d->shadow + offset, size_of_block(d->size, block));
	}
	replica_grant_end(r, version);
}

int
replica_collect(struct replica *r)
{
	if (r->is_full) {
		replica_collect_all(r);
		return 0;
	}
	return r->error != 0 ? r->error : r->dirty.ops->collect(&r->dirty);
}

void
replica_collect_all(struct replica *r)
{
	struct dirty *d = &r->dirty;

	shadow_will_write(d, 0, d->size);
	memcpy(d->shadow, d->base, d->size);
	d->count = 0;
	dirty_add(d, 0, d->size);
}

void
replica_published(struct replica *r, uint64_t version)
{
	if (version == 0)
		return;
	r->since = version;
	r->is_fresh = false;
	if (r->stats != NULL)
		stats_add_published(r->stats, &r->dirty);
}

void
replica_hint(struct replica *r, uint32_t offset, uint32_t length)
{
	struct dirty *d = &r->dirty;

	if (r->error == 0 && d->ops->hint != NULL && length > 0)
		d->ops->hint(d, offset, length);
}

void
replica_fork_child(struct replica *r)
{
	struct dirty *d = &r->dirty;

	if (replica_is_mapped(r) && d->ops->fork_child != NULL && r->error == 0)
		r->error = d->ops->fork_child(d);
	shadow_fork_child(d);
	replica_void(r);
}

void
replica_fork_prepare(struct replica *r)
{
	if (!shadow_is_copied_by_fork(&r->dirty))
		return;
	/* A fresh replica has a shadow of zeros, which the next one is, too. */
	if (!r->is_fresh) {
		r->is_in_base = replica_since(r) != 0 && shadow_is_as_base(&r->dirty);
		if (!r->is_in_base)
			replica_void(r);
	}
	shadow_unmap(&r->dirty);
}

int
replica_begin(struct replica *r)
{
	struct dirty *d = &r->dirty;
	int error = 0;

	if (!replica_is_mapped(r))
		return 0;
	if (d->shadow == NULL)
		error = r->is_in_base ? shadow_map_as_base(d) : shadow_map(d);
	if (error == 0)
		r->is_in_base = false;
	if (error == 0 && r->error != 0)
		error = r->error = d->ops->init(d);
	return error;
}
