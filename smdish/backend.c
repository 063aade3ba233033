#include "smdish/backend.h"

#include <errno.h>
#include <stddef.h>

#include "common/client/replica.h"
#include "common/remote/mux.h"
#include "common/remote/remotefile.h"
#include "common/wire/delta.h"
#include "common/wire/wire.h"

/* Checks all of a grant's delta. Returns 0 or -EPROTO. */
static int
check(uint32_t size, uint64_t version, struct wire_reader body)
{
	struct delta_piece piece;
	struct delta delta;
	int more;

	delta_begin(&delta, &body, size);
	/* Before anything was published there are no blocks. */
	if (version == 0 && delta.left > 0)
		return -EPROTO;
	while ((more = delta_next(&delta, &piece)) > 0)
		continue;
	return more == 0 && wire_is_done(&body) ? 0 : -EPROTO;
}

static int
apply(struct remotefile *f, uint64_t version, struct wire_reader body)
{
	struct replica *replica = f->base.replica;
	struct delta_piece piece;
	struct delta delta;
	int error;

	error = check(replica->dirty.size, version, body);
	if (error != 0)
		return error;
	replica_grant_begin(replica, version);
	delta_begin(&delta, &body, replica->dirty.size);
	while (delta_next(&delta, &piece) > 0)
		replica_grant_write(replica, piece.offset, piece.bytes, piece.length);
	replica_grant_end(replica, version);
	return 0;
}

static int
prepare(struct remotefile *f, uint64_t *size, bool *has_blocks)
{
	struct dirty *d = &f->base.replica->dirty;
	uint64_t sum = DELTA_COUNT_SIZE;
	uint32_t i;
	int error;

	error = replica_collect(f->base.replica);
	if (error != 0)
		return error;
	for (i = 0; i < d->count; i++)
		sum += DELTA_PIECE_HEADER_SIZE + (uint64_t)d->pieces[i].length;
	*size = sum;
	*has_blocks = d->count > 0;
	return 0;
}

/* Writes from the shadow, which does not change before the next grant. */
static void
put(struct remotefile *f, struct mux *m)
{
	const struct dirty *d = &f->base.replica->dirty;
	const struct dirty_piece *piece;

	mux_put_u32(m, d->count);
	for (piece = d->pieces; piece < d->pieces + d->count; piece++) {
		mux_put_u32(m, piece->offset);
		mux_put_u32(m, piece->length);
		mux_put(m, d->shadow + piece->offset, piece->length);
	}
}

static const struct remotefile_codec codec = {
	.size = sizeof(struct remotefile),
	.speaks_version_1 = true,
	.apply = apply,
	.prepare = prepare,
	.put = put,
};

static int
open_file(struct backend_file **out, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name, int flags, uint64_t until)
{
	return remotefile_open(out, &smdish_backend, &codec, m, tls, replica, name, flags, until);
}

const struct backend_ops smdish_backend = {
	.type = "smdish",
	.has_server = true,
	.configure = remote_configure,
	.detach = remote_detach,
	.fork_ready = remotefile_fork_ready,
	.fork_prepare = remote_fork_prepare,
	.fork_parent = remote_fork_parent,
	.fork_child = remote_fork_child,
	.open = open_file,
	.close = remotefile_close,
	.is_alive = remotefile_is_alive,
	.map = remotefile_map,
	.stat = remotefile_stat,
	.holder = remotefile_holder,
	.acquire = remotefile_acquire,
	.interrupt = remotefile_interrupt,
	.is_contended = remotefile_is_contended,
	.grant = remotefile_grant,
	.release = remotefile_release,
	.downgrade = remotefile_downgrade,
};
