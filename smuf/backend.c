#include "smuf/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/client/mount.h"
#include "common/client/replica.h"
#include "common/client/smclient.h"
#include "common/crypto/sealbox.h"
#include "common/host/filename.h"
#include "common/host/slotfile.h"
#include "common/remote/mux.h"
#include "common/remote/remotefile.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/backend_segment.h"
#include "smuf/sealdelta.h"

struct smuf_file {
	struct remotefile base;
	struct backend_segment segment; /* not open unless the file is mapped */
	uint8_t *pieces;                /* of a release, as on the wire; room for one a block */
	uint32_t piece_count;
};

static struct smuf_file *
smuf_file(struct remotefile *f)
{
	return container_of(f, struct smuf_file, base);
}

/* Grants. */

static struct backend_segment_block
next_block(struct wire_reader *r)
{
	struct backend_segment_block b;

	b.block = wire_get_u32(r);
	b.version = wire_get_u64(r);
	b.slot = wire_get_u8(r);
	b.tag = wire_get_bytes(r, SEALBOX_TAG_SIZE);
	return b;
}

/*
 * Checks the shape of a grant's blocks: ascending, in range, published by then. (A server that has
 * forgotten what we have names more than we lack.)
 */
static int
check_blocks(const struct replica *replica, uint64_t version, struct wire_reader r)
{
	uint32_t count = size_block_count(replica->dirty.size), left = wire_get_u32(&r), least = 0;
	struct backend_segment_block b;

	if (r.failed || r.left != (uint64_t)left * SEALDELTA_GRANT_PIECE_SIZE)
		return -EPROTO;
	for (; left > 0; left--) {
		b = next_block(&r);
		if (b.block < least || b.block >= count || b.slot >= SLOTFILE_SLOTS ||
		    b.version == 0 || b.version > version)
			return -EPROTO;
		least = b.block + 1;
	}
	return 0;
}

/* Opens all blocks into the shadow. */
static int
open_blocks(struct smuf_file *f, struct wire_reader r)
{
	struct replica *replica = f->base.base.replica;
	struct backend_segment_block b;
	uint32_t left = wire_get_u32(&r);
	int error = left > 0 ? backend_segment_begin_reading(&f->segment) : 0;

	replica_stage_begin(replica);
	for (; left > 0 && error == 0; left--) {
		b = next_block(&r);
		error = backend_segment_open_block(&f->segment, &b,
		    replica_stage(replica, b.block));
	}
	return error;
}

static int
apply(struct remotefile *base, uint64_t version, struct wire_reader delta)
{
	struct smuf_file *f = smuf_file(base);
	struct replica *replica = base->base.replica;
	const uint8_t *key = wire_get_bytes(&delta, SEALBOX_KEY_SIZE);
	int error = key == NULL ? -EPROTO : check_blocks(replica, version, delta);

	if (error == 0)
		error = backend_segment_begin_grant(&f->segment, key, replica_since(replica) == 0);
	if (error == 0)
		error = open_blocks(f, delta);
	if (error == 0)
		replica_apply_staged(replica, version);
	return error;
}

/* Releases. */

/* Seals a block from the shadow, the one copy of it, and adds it to the pieces. */
static int
seal_block(struct smuf_file *f, uint32_t block)
{
	struct wire_writer w = wire_writer(f->pieces +
		f->piece_count * SEALDELTA_RELEASE_PIECE_SIZE,
	    SEALDELTA_RELEASE_PIECE_SIZE);
	const uint8_t *plain = f->base.base.replica->dirty.shadow + (size_t)block * SIZE_BLOCK;
	uint8_t *slot, *tag;

	f->piece_count++;
	wire_put_u32(&w, block);
	slot = wire_put_room(&w, 1);
	tag = wire_put_room(&w, SEALBOX_TAG_SIZE);
	return backend_segment_seal_block(&f->segment, f->base.grant, block, plain, slot, tag);
}

static int
seal_blocks(struct smuf_file *f)
{
	const struct dirty *d = &f->base.base.replica->dirty;
	struct dirty_cursor c = { 0 };
	uint32_t block;
	int error = backend_segment_begin_release(&f->segment);

	f->piece_count = 0;
	while (error == 0 && dirty_next_block(d, &c, &block))
		error = seal_block(f, block);
	return error != 0 ? error : backend_segment_end_release(&f->segment);
}

/*
 * The grant is spent from here on, whatever comes of it: remotefile sends its RELEASE next. A
 * client that knows that its connection has ended does not seal: another may hold the lock by now.
 */
static int
prepare(struct remotefile *base, uint64_t *size, bool *has_blocks)
{
	struct smuf_file *f = smuf_file(base);
	int error;

	if (mux_has_ended(base->remote->mux))
		return remotefile_fail(base, OP_RELEASE, -ENOTCONN);
	error = replica_collect(base->base.replica);
	testpoint_reach("smuf release: collected");
	if (error == 0)
		error = seal_blocks(f);
	if (error != 0)
		return error;
	*size = SEALDELTA_RELEASE_HEAD_SIZE +
	    (uint64_t)f->piece_count * SEALDELTA_RELEASE_PIECE_SIZE;
	*has_blocks = f->piece_count > 0;
	testpoint_reach("smuf release: prepared");
	return 0;
}

static void
put(struct remotefile *base, struct mux *m)
{
	struct smuf_file *f = smuf_file(base);

	mux_put_u32(m, f->piece_count);
	mux_put(m, f->pieces, (size_t)f->piece_count * SEALDELTA_RELEASE_PIECE_SIZE);
	backend_segment_switch_slots(&f->segment, &base->base.replica->dirty);
}

/* The file. */

static void
close_segment(struct remotefile *base)
{
	struct smuf_file *f = smuf_file(base);

	backend_segment_close(&f->segment);
	free(f->pieces);
	f->pieces = NULL;
}

static const struct remotefile_codec codec = {
	.size = sizeof(struct smuf_file),
	.fini = close_segment,
	.apply = apply,
	.prepare = prepare,
	.put = put,
};

static int
map(struct backend_file *base, uint32_t size, uint64_t until)
{
	struct smuf_file *f = container_of(base, struct smuf_file, base.base);
	int error = remotefile_map(base, size, until);
	struct sm_stat stat;

	if (error == 0)
		error = remotefile_stat(base, &stat, until);
	if (error == 0)
		error = backend_segment_check_life(&f->base, stat.life);
	close_segment(&f->base);
	if (error == 0)
		error = backend_segment_open(&f->segment, &f->base, size);
	if (error == 0)
		f->pieces = calloc(size_block_count(size), SEALDELTA_RELEASE_PIECE_SIZE);
	if (error == 0 && f->pieces == NULL)
		error = -ENOMEM;
	if (error != 0)
		close_segment(&f->base);
	return error;
}

static int
open_file(struct backend_file **out, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name, int flags, uint64_t until)
{
	int error = filename_check(name, strlen(name));

	if (error != 0)
		return error;
	return remotefile_open(out, &smuf_backend, &codec, m, tls, replica, name, flags, until);
}

/* SERVER,file:DIRECTORY */
static int
configure(struct mount *m, const char *uri)
{
	const char *second = strstr(uri, ",file:");
	char *first;
	int error;

	if (second == NULL)
		return error_message(-EINVAL, "%s: a smuf mount's URI is SERVER,file:DIRECTORY",
		    uri);
	error = mount_set_directory(m, second + 1);
	if (error != 0)
		return error;
	first = strndup(uri, (size_t)(second - uri));
	if (first == NULL)
		return -ENOMEM;
	error = remote_configure(m, first);
	free(first);
	return error;
}

const struct backend_ops smuf_backend = {
	.type = "smuf",
	.has_server = true,
	.has_directory = true,
	.configure = configure,
	.detach = remote_detach,
	.fork_ready = remotefile_fork_ready,
	.fork_prepare = remote_fork_prepare,
	.fork_parent = remote_fork_parent,
	.fork_child = remote_fork_child,
	.open = open_file,
	.close = remotefile_close,
	.is_alive = remotefile_is_alive,
	.map = map,
	.stat = remotefile_stat,
	.holder = remotefile_holder,
	.acquire = remotefile_acquire,
	.interrupt = remotefile_interrupt,
	.is_contended = remotefile_is_contended,
	.grant = remotefile_grant,
	.release = remotefile_release,
	.downgrade = remotefile_downgrade,
};
