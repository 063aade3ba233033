#include "common/remote/remotefile_core.h"

#include <errno.h>

#include "common/client/replica.h"
#include "common/remote/compat_v1.h"
#include "common/wire/delta.h"

enum { RELEASE_HEAD_SIZE = 13 };

static const uint8_t no_blocks[DELTA_COUNT_SIZE];

/* Puts the head of a RELEASE, up to its delta. */
static void
put_release(struct remotefile *f, uint8_t flags)
{
	struct mux *mux = f->remote->mux;

	mux_put_u32(mux, f->fd);
	mux_put_u64(mux, f->grant);
	mux_put_u8(mux, flags);
}

void
remotefile_release_empty(struct remotefile *f, uint8_t flags, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	size_t size = f->has_segment ? sizeof no_blocks : 0;

	/* A lock that cannot be released ends with the connection. */
	if (mux_become_sender(mux, mux_limit(mux, until)) != 0) {
		(void)mux_abort(mux, -ETIMEDOUT);
		return;
	}
	mux_begin_one_way(mux, &f->failure, OP_RELEASE, RELEASE_HEAD_SIZE + size);
	put_release(f, flags | PROTOCOL_RELEASE_ONE_WAY);
	mux_put(mux, no_blocks, size);
	(void)mux_send(mux);
}

/* RELEASE and its reply. */
static int
release_and_wait(struct remotefile *f, uint64_t delta_size, uint8_t flags,
    void (*put)(struct remotefile *, struct mux *), struct mux_limit limit)
{
	struct remote *r = f->remote;
	struct mux_call c;
	int error;

	mux_begin_call(r->mux, &c, OP_RELEASE, RELEASE_HEAD_SIZE + delta_size, 8);
	put_release(f, flags);
	put(f, r->mux);
	error = dial_exchange(r->mux, &c, 8, limit);
	mux_end_call(r->mux, &c);
	return error;
}

static void
put_no_blocks(struct remotefile *f, struct mux *mux)
{
	mux_put(mux, no_blocks, f->has_segment ? sizeof no_blocks : 0);
}

/*
 * A one-way RELEASE with so large a delta is sent. Of TCP, bytes that the kernel has not sent are
 * lost when this process is killed and has not read all that it was sent. If there are some, waits
 * for the reply to a ping, which comes behind them.
 */
static int
ensure_sent(struct remotefile *f, uint64_t delta_size, struct mux_limit limit)
{
	struct mux *mux = f->remote->mux;

	if (f->remote->target.addr->kind != ADDR_TCP || !mux_has_unsent(mux, delta_size))
		return 0;
	return dial_ping(mux, limit);
}

/*
 * Sends a RELEASE with these flags; if the server has leases, or the lock is kept, waits for the
 * reply.
 */
static int
send_release(struct remotefile *f, uint64_t delta_size, bool is_prepared, uint8_t flags,
    uint64_t until)
{
	void (*put)(struct remotefile *, struct mux *) = is_prepared ? f->codec->put :
								       put_no_blocks;
	struct remote *r = f->remote;
	struct mux_limit limit = mux_limit(r->mux, until);
	int error = mux_become_sender(r->mux, limit);

	/* The lock ends with the connection: nobody waits for it any longer than for this. */
	if (error == -ETIMEDOUT)
		error = mux_abort(r->mux, error);
	if (error == 0 && (r->terms.has_leases || flags != 0)) {
		error = release_and_wait(f, delta_size, flags, put, limit);
	} else if (error == 0) {
		mux_begin_one_way(r->mux, &f->failure, OP_RELEASE, RELEASE_HEAD_SIZE + delta_size);
		put_release(f, PROTOCOL_RELEASE_ONE_WAY);
		put(f, r->mux);
		error = mux_send(r->mux);
		if (error == 0)
			error = ensure_sent(f, delta_size, limit);
	}
	return error != 0 ? remotefile_fail(f, OP_RELEASE, error) : 0;
}

/* Releases, with the flag PROTOCOL_RELEASE_KEEP or none; without, if there is nothing to send. */
static int
release(struct remotefile *f, bool is_publishing, uint8_t flags, uint64_t until)
{
	struct replica *replica = f->base.replica;
	bool is_exclusive = f->mode == PROTOCOL_EXCLUSIVE, is_prepared = false, has_blocks = false;
	uint64_t size = f->has_segment ? sizeof no_blocks : 0;
	int error = 0, sent;

	if (is_publishing && is_exclusive && replica_is_mapped(replica)) {
		error = f->codec->prepare(f, &size, &has_blocks);
		is_prepared = error == 0;
	}
	sent = send_release(f, size, is_prepared, error == 0 ? flags : 0, until);
	if (sent != 0)
		error = sent;
	if (error != 0 || (is_exclusive && !is_publishing))
		replica_void(replica);
	else if (has_blocks)
		replica_published(replica, f->grant);
	return error;
}

/* Waits for the reply to an upgrade that was given up; a server that is silent loses the lock. */
static int
settle(struct remotefile *f, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	int error;

	if (!f->is_unsettled)
		return 0;
	error = remotefile_settle(f, mux_wait(mux, &f->upgrade, mux_limit(mux, until)));
	if (f->is_unsettled)
		error = remotefile_settle(f, mux_abort(mux, error));
	if (error == 0)
		return 0;
	replica_void(f->base.replica);
	return remotefile_fail(f, OP_RELEASE, error);
}

int
remotefile_release(struct backend_file *base, bool is_publishing, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	int error;

	if (f->remote->terms.version == PROTOCOL_VERSION_1)
		return compat_v1_release(f, is_publishing, until);
	error = settle(f, until);
	if (error != 0)
		return error;
	return release(f, is_publishing, 0, until);
}

/* It is no one-way request: what the caller goes on to read is locked. */
int
remotefile_downgrade(struct backend_file *base, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	int error = remotefile_need_extensions(f, "sharing a lock that is held exclusively");

	if (error == 0)
		error = release(f, true, PROTOCOL_RELEASE_KEEP, until);
	if (error == 0)
		f->mode = PROTOCOL_SHARED;
	return error;
}
