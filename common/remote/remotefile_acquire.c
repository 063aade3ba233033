#include "common/remote/remotefile_core.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/client/mount.h"
#include "common/client/replica.h"
#include "common/remote/compat_v1.h"

/* Reads the head of the reply to an ACQUIRE from since, and leaves the delta in reply. */
static int
read_grant(struct remotefile *f, enum protocol_mode mode, uint64_t since, struct wire_reader *reply,
    uint64_t *version)
{
	atomic_store_explicit(&f->grant, wire_get_u64(reply), memory_order_relaxed);
	*version = wire_get_u64(reply);
	f->mode = mode == PROTOCOL_SHARED ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE;
	f->has_segment = reply->left > 0;
	if (reply->failed || *version < since ||
	    (replica_is_mapped(f->base.replica) && !f->has_segment))
		return mux_abort(f->remote->mux, -EPROTO);
	return 0;
}

/* Gives back a grant of no use, with these flags; that of an upgrade becomes a shared one again. */
static void
give_back(struct remotefile *f, enum protocol_mode mode, uint8_t flags)
{
	if (mode == PROTOCOL_UPGRADE)
		flags = PROTOCOL_RELEASE_KEEP;
	remotefile_release_empty(f, flags, mount_deadline(f->remote->mount));
	if (mode == PROTOCOL_UPGRADE)
		f->mode = PROTOCOL_SHARED;
}

/* Brings the replica to the version that the reply to an ACQUIRE grants. */
static int
apply_grant(struct remotefile *f, enum protocol_mode mode, uint64_t since, struct wire_reader reply)
{
	struct replica *replica = f->base.replica;
	uint64_t version;
	int error;

	error = read_grant(f, mode, since, &reply, &version);
	if (error != 0)
		return error;
	if (!replica_is_mapped(replica)) {
		replica_grant_end(replica, version);
		return 0;
	}
	error = f->codec->apply(f, version, reply);
	if (error != 0) {
		replica_void(replica);
		give_back(f, mode, error == -EBADMSG ? PROTOCOL_RELEASE_UNVERIFIED : 0);
	}
	return error;
}

/* The time until deadline as an ACQUIRE has it, rounded up. */
static uint32_t
timeout_until(uint64_t deadline)
{
	uint64_t now, ms;

	if (deadline == CLOCK_NEVER)
		return PROTOCOL_TIMEOUT_NEVER;
	if (deadline == 0 || deadline <= (now = clock_now()))
		return PROTOCOL_TIMEOUT_TRY;
	ms = (deadline - now + CLOCK_MS - 1) / CLOCK_MS;
	return ms < PROTOCOL_TIMEOUT_NEVER ? (uint32_t)ms : PROTOCOL_TIMEOUT_NEVER - 1;
}

/*
 * The largest body of a reply to an ACQUIRE. protocol_largest_body() counts deltas of smdish; a
 * smuf grant of a tiny segment is larger, and smaller than a body that both ends always keep.
 */
static uint32_t
grant_most(const struct remotefile *f)
{
	const struct replica *replica = f->base.replica;
	uint32_t most = f->remote->terms.largest_body;

	if (replica_is_mapped(replica))
		most = protocol_largest_body(replica->dirty.size);
	return most > PROTOCOL_SMALL_BODY_MOST ? most : PROTOCOL_SMALL_BODY_MOST;
}

/*
 * Waits for the reply to an ACQUIRE until due, or until a signal ends the wait. The server ends a
 * timed wait by its own clock; if it is late, or silent, gives the ACQUIRE up without it. A grant
 * that crosses the CANCEL has ended with it.
 */
static int
await_grant(struct remotefile *f, struct mux_call *c, uint64_t due, struct eintr *e)
{
	struct mux *mux = f->remote->mux;
	int error = mux_wait_for_lock(mux, c, f, due, e);

	if ((error != -ETIMEDOUT && error != -EINTR) || mux_has_ended(mux))
		return error;
	if (c->is_upgrade ? remotefile_leave_upgrade(f) : mux_cancel(mux, c))
		return error;
	/* The reply came between the two calls. */
	return mux_wait_for_lock(mux, c, f, due, NULL);
}

/* Makes the caller the sender of an ACQUIRE whose reply must come until due. */
static int
become_sender(struct remotefile *f, uint64_t due)
{
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, mount_deadline(f->remote->mount));
	int error;

	if (due == CLOCK_NEVER)
		error = mux_become_sender(mux, limit);
	else
		error = mux_become_quick_sender(mux, remotefile_step_due(f, due), limit);
	return error != 0 ? remotefile_fail(f, OP_ACQUIRE, error) : 0;
}

static void
begin_acquire(struct remotefile *f, struct mux_call *c, enum protocol_mode mode, uint64_t since,
    uint32_t timeout)
{
	struct mux *mux = f->remote->mux;

	mux_begin_call(mux, c, OP_ACQUIRE, 17, grant_most(f));
	c->is_upgrade = mode == PROTOCOL_UPGRADE;
	mux_put_u32(mux, f->fd);
	mux_put_u8(mux, (uint8_t)mode);
	mux_put_u32(mux, timeout);
	mux_put_u64(mux, since);
}

/*
 * Uses the grant that answers an ACQUIRE from since. If the release before has failed, the replica
 * never had that version: releases the grant and returns the failure, or 0 and *retry when it was
 * reported before.
 */
static int
use_grant(struct remotefile *f, enum protocol_mode mode, uint64_t since, struct wire_reader reply,
    bool *retry)
{
	bool was_reported;
	uint64_t version;
	int failure = remotefile_take_failure(f, &was_reported), error;

	if (failure == 0)
		return apply_grant(f, mode, since, reply);
	error = read_grant(f, mode, since, &reply, &version);
	if (error != 0)
		return error;
	give_back(f, mode, 0);
	*retry = was_reported;
	return was_reported ? 0 : failure;
}

/*
 * One ACQUIRE, to be answered until due. *retry: the grant was of no use, because of a failure that
 * was reported before.
 */
static int
acquire_once(struct remotefile *f, enum protocol_mode mode, uint64_t deadline, uint64_t due,
    struct eintr *e, bool *retry)
{
	struct mux_call other, *c = mode == PROTOCOL_UPGRADE ? &f->upgrade : &other;
	uint64_t since = replica_since(f->base.replica);
	struct mux *mux = f->remote->mux;
	int error;

	*retry = false;
	error = become_sender(f, due);
	if (error != 0)
		return error;
	begin_acquire(f, c, mode, since, timeout_until(deadline));
	error = mux_send(mux);
	if (error == 0)
		error = await_grant(f, c, due, e);
	if (error == 0) {
		error = use_grant(f, mode, since, c->reply, retry);
		mux_end_call(mux, c);
		return error == -EPROTO ? remotefile_fail(f, OP_ACQUIRE, error) : error;
	}
	if (error == -EAGAIN && deadline != 0)
		error = -ETIMEDOUT;
	/* The descriptor does not hold the lock any more: its lease is over. */
	if (error == -EINVAL && mode == PROTOCOL_UPGRADE)
		error = -ESTALE;
	if (f->is_unsettled)
		return remotefile_fail(f, OP_ACQUIRE, error);
	return remotefile_end_call(f, c, OP_ACQUIRE, error);
}

void
remotefile_interrupt(struct backend_file *base)
{
	struct remotefile *f = remotefile_of(base);

	/* In a forked child that has not attached nothing waits for the server's answer yet. */
	if (!atomic_load_explicit(&f->remote->inherit.is_inherited, memory_order_acquire))
		mux_interrupt(f->remote->mux, f);
}

/* Waits for the reply to an upgrade that was given up, until due or a signal. */
static int
settle(struct remotefile *f, uint64_t due, struct eintr *e)
{
	int error = 0;

	if (f->is_unsettled)
		error = remotefile_settle(f,
		    mux_wait_for_lock(f->remote->mux, &f->upgrade, f, due, e));
	return error != 0 ? remotefile_fail(f, OP_ACQUIRE, error) : 0;
}

int
remotefile_acquire(struct backend_file *base, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e)
{
	struct remotefile *f = remotefile_of(base);
	uint64_t due = remotefile_answer_due(deadline);
	bool was_reported, retry;
	int error = remotefile_attach(f, remotefile_step_due(f, due));

	if (error != 0)
		return error;
	if (mode == PROTOCOL_UPGRADE)
		error = remotefile_need_extensions(f, "writing while holding the lock for reading");
	if (error != 0)
		return error;
	if (f->remote->terms.version == PROTOCOL_VERSION_1)
		return compat_v1_acquire(f, mode, deadline, e);
	error = settle(f, due, e);
	if (error != 0)
		return error;
	error = remotefile_take_failure(f, &was_reported);
	if (error != 0 && !was_reported)
		return error;
	do
		error = acquire_once(f, mode, deadline, due, e, &retry);
	while (retry);
	return error;
}
