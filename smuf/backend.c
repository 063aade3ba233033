#include "smuf/backend.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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
#include "smuf/layout.h"
#include "smuf/sealdelta.h"

struct smuf_file {
	struct remotefile base;
	struct sealbox *box;
	struct backend_segment segment; /* closed unless the file is mapped */
	uint8_t *slots;  /* the current one of each block, as of the replica's version */
	uint8_t *pieces; /* of the release at hand, as on the wire; room for one a block */
	uint32_t piece_count;
	uint8_t sealed[SIZE_BLOCK]; /* a block on its way */
};

/* A block as a grant names it. */
struct granted {
	uint32_t block;
	uint64_t version;
	uint8_t slot;
	const uint8_t *tag;
};

static struct smuf_file *
smuf_file(struct remotefile *f)
{
	return (struct smuf_file *)f;
}

static uint32_t
block_size(const struct smuf_file *f, uint32_t block)
{
	return size_of_block(f->base.base.replica->dirty.size, block);
}

/* Grants. */

static struct granted
next_granted(struct wire_reader *r)
{
	struct granted g;

	g.block = wire_get_u32(r);
	g.version = wire_get_u64(r);
	g.slot = wire_get_u8(r);
	g.tag = wire_get_bytes(r, SEALBOX_TAG_SIZE);
	return g;
}

/*
 * Checks the shape of a grant's blocks: ascending, in range, published by then. (A server that has
 * forgotten what we have names more than we lack.)
 */
static int
check(const struct smuf_file *f, uint64_t version, struct wire_reader r)
{
	const struct replica *replica = f->base.base.replica;
	uint32_t count = size_block_count(replica->dirty.size), left = wire_get_u32(&r), least = 0;
	struct granted g;

	if (r.failed || r.left != (uint64_t)left * SEALDELTA_GRANT_PIECE_SIZE)
		return -EPROTO;
	for (; left > 0; left--) {
		g = next_granted(&r);
		if (g.block < least || g.block >= count || g.slot >= SLOTFILE_SLOTS ||
		    g.version == 0 || g.version > version)
			return -EPROTO;
		least = g.block + 1;
	}
	return 0;
}

/* Copies a block in and opens it into the shadow; its slot is the current one then. */
static int
open_block(struct smuf_file *f, const struct granted *g)
{
	struct replica *replica = f->base.base.replica;
	uint32_t size = block_size(f, g->block);
	int error;

	error = hostfile_read(&f->segment.file, slotfile_offset(g->block, g->slot), f->sealed,
	    size);
	if (error != 0)
		return backend_segment_fail(&f->segment, "cannot be read", error);
	error = sealbox_open(f->box, g->version, g->block, f->sealed, size, g->tag,
	    replica_stage(replica, g->block));
	if (error != 0)
		return error_message(error,
		    "%s%s" FILENAME_SUFFIX
		    ": block %u is not what was published: the host has changed it, or the mount names another server's directory",
		    f->base.remote->mount->directory, f->base.name, g->block);
	f->slots[g->block] = g->slot;
	return 0;
}

static int
open_blocks(struct smuf_file *f, struct wire_reader r)
{
	struct replica *replica = f->base.base.replica;
	uint32_t left = wire_get_u32(&r);
	struct granted g;
	int error = 0;

	/* From 0 the grant names everything that was ever published: of the others slot 1 counts. */
	if (replica_since(replica) == 0)
		memset(f->slots, 1, size_block_count(replica->dirty.size));
	replica_stage_begin(replica);
	for (; left > 0 && error == 0; left--) {
		g = next_granted(&r);
		error = open_block(f, &g);
	}
	return error;
}

static int
apply(struct remotefile *base, uint64_t version, struct wire_reader delta)
{
	struct smuf_file *f = smuf_file(base);
	const uint8_t *key = wire_get_bytes(&delta, SEALBOX_KEY_SIZE);
	int error = key == NULL ? -EPROTO : check(f, version, delta);

	if (error == 0)
		error = sealbox_set_key(f->box, key);
	if (error == 0)
		error = backend_segment_refresh(&f->segment);
	if (error == 0)
		error = open_blocks(f, delta);
	if (error == 0)
		replica_apply_staged(base->base.replica, version);
	if (error == -EIO || error == -EBADMSG)
		f->segment.is_doubtful = true;
	return error;
}

/* Releases. */

/* Seals a block from the shadow, the one copy of it, into the slot that does not count. */
static int
seal_block(struct smuf_file *f, uint32_t block)
{
	const uint8_t *plain = f->base.base.replica->dirty.shadow + (size_t)block * SIZE_BLOCK;
	struct wire_writer w = wire_writer(f->pieces + f->piece_count * DELTA_RELEASE_PIECE_SIZE,
	    DELTA_RELEASE_PIECE_SIZE);
	uint8_t slot = !f->slots[block];
	uint32_t size = block_size(f, block);
	int error;

	wire_put_u32(&w, block);
	wire_put_u8(&w, slot);
	error = sealbox_seal(f->box, f->base.grant, block, plain, size,
	    hostwriter_room(&f->segment.writer), wire_put_room(&w, SEALBOX_TAG_SIZE));
	if (error != 0)
		return error;
	testpoint_reach("smuf release: block sealed");
	error = hostwriter_put(&f->segment.writer, slotfile_offset(block, slot), size);
	testpoint_reach("smuf release: block put");
	f->piece_count++;
	return error;
}

static int
seal_blocks(struct smuf_file *f)
{
	const struct dirty *d = &f->base.base.replica->dirty;
	uint32_t i, block, last;
	int error = 0;

	if (!hostfile_is_intact(&f->segment.file))
		return error_message(-EBADF,
		    "%s%s" FILENAME_SUFFIX ": the program has closed the library's descriptor",
		    f->base.remote->mount->directory, f->base.name);
	f->piece_count = 0;
	hostwriter_begin(&f->segment.writer);
	for (i = 0; i < d->count; i++) {
		last = (d->pieces[i].offset + d->pieces[i].length - 1) / SIZE_BLOCK;
		for (block = d->pieces[i].offset / SIZE_BLOCK; block <= last && error == 0; block++)
			error = seal_block(f, block);
	}
	if (error == 0)
		error = hostwriter_flush(&f->segment.writer);
	if (error == 0 || error == -ESTALE)
		return error;
	return error_message(error, "%s%s" FILENAME_SUFFIX ": cannot be written: %s",
	    f->base.remote->mount->directory, f->base.name, strerror(-error));
}

/*
 * The grant is spent from here on, whatever comes of it: remotefile sends its RELEASE next. Who
 * knows that the connection is gone does not seal: another may hold the lock by now.
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
	const struct dirty *d = &base->base.replica->dirty;
	uint32_t i, block, last;

	mux_put_u32(m, f->piece_count);
	mux_put(m, f->pieces, (size_t)f->piece_count * SEALDELTA_RELEASE_PIECE_SIZE);
	for (i = 0; i < d->count; i++) {
		last = (d->pieces[i].offset + d->pieces[i].length - 1) / SIZE_BLOCK;
		for (block = d->pieces[i].offset / SIZE_BLOCK; block <= last; block++)
			f->slots[block] = !f->slots[block];
	}
}

/* The file. */

static void
end_segment(struct smuf_file *f)
{
	backend_segment_close(&f->segment);
	sealbox_destroy(f->box);
	free(f->slots);
	free(f->pieces);
	f->box = NULL;
	f->slots = NULL;
	f->pieces = NULL;
}

static void
init(struct remotefile *base)
{
	backend_segment_init(&smuf_file(base)->segment, base);
}

static void
fini(struct remotefile *base)
{
	struct smuf_file *f = smuf_file(base);

	end_segment(f);
	explicit_bzero(f->sealed, sizeof f->sealed);
}

static const struct remotefile_codec codec = {
	.size = sizeof(struct smuf_file),
	.init = init,
	.fini = fini,
	.apply = apply,
	.prepare = prepare,
	.put = put,
};

/* All the memory that critical sections need. */
static int
begin_segment(struct smuf_file *f, uint32_t size)
{
	uint32_t count = size_block_count(size);

	end_segment(f);
	f->slots = malloc(count);
	f->pieces = calloc(count, SEALDELTA_RELEASE_PIECE_SIZE);
	if (f->slots == NULL || f->pieces == NULL || sealbox_create(&f->box) != 0)
		return -ENOMEM;
	memset(f->slots, 1, count);
	f->segment.is_doubtful = false;
	return backend_segment_open(&f->segment, size);
}

static int
map(struct backend_file *base, uint32_t size)
{
	struct smuf_file *f = (struct smuf_file *)base;
	int error = remotefile_map(base, size);
	struct sm_stat stat;

	if (error == 0)
		error = remotefile_stat(base, &stat);
	if (error == 0)
		error = backend_segment_check_life(&f->segment, stat.life);
	if (error == 0)
		error = begin_segment(f, size);
	if (error != 0)
		end_segment(f);
	return error;
}

static int
open_file(struct backend_file **out, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name)
{
	int error = filename_check(name, strlen(name));

	if (error != 0)
		return error;
	return remotefile_open(out, &smuf_backend, &codec, m, tls, replica, name);
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
	.has_directory = true,
	.configure = configure,
	.detach = remote_detach,
	.fork_prepare = remote_fork_prepare,
	.fork_parent = remote_fork_parent,
	.fork_child = remote_fork_child,
	.open = open_file,
	.close = remotefile_close,
	.is_alive = remotefile_is_alive,
	.map = map,
	.stat = remotefile_stat,
	.acquire = remotefile_acquire,
	.release = remotefile_release,
};
