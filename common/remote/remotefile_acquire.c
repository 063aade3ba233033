#include "common/remote/remotefile_core.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/client/replica.h"
#include "common/remote/compat_v1.h"

enum {
	LATE_MS = 50,     /* how late the reply to a timed ACQUIRE may be before it is cancelled */
	SILENCE_MS = 5000 /* how long to wait for a reply that the server can send at once */
};

/* Reads the head of the reply to an ACQUIRE from since, and leaves the delta in reply. */
static int
read_grant(struct remotefile *f, enum protocol_mode mode, uint64_t since, struct wire_reader *reply,
    uint64_t *version)
{
	f->grant = wire_get_u64(reply);
	*version = wire_get_u64(reply);
	f->mode = mode;
	f->has_segment = reply->left > 0;
	if (reply->failed || *version < since ||
	    (replica_is_mapped(f->base.replica) && !f->has_segment))
		return mux_abort(f->remote->mux, -EPROTO);
	return 0;
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
		remotefile_release_empty(f, error == -EBADMSG ? PROTOCOL_RELEASE_UNVERIFIED : 0);
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

/* Cancels an ACQUIRE, which is then answered, unless the connection ends. */
static void
cancel(struct remotefile *f, struct mux_call *acquire, uint64_t deadline)
{
	struct mux *mux = f->remote->mux;
	struct mux_call c;

	if (mux_become_sender(mux, deadline) != 0)
		return;
	mux_begin_call(mux, &c, OP_CANCEL, 4, 0);
	mux_put_u32(mux, acquire->tag);
	if (mux_send(mux) != 0 || mux_wait(mux, &c, deadline) != 0)
		(void)mux_abort(mux, -ETIMEDOUT);
	mux_end_call(mux, &c);
}

/* When the reply must have come to an ACQUIRE that was sent just now, with that deadline. */
static uint64_t
answer_due(uint64_t deadline)
{
	uint64_t now;

	if (deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	now = clock_now();
	return clock_after_ms(deadline > now ? deadline : now, LATE_MS);
}

/*
 * Waits for the reply to an ACQUIRE. The server ends a timed wait by its own clock; if it is late,
 * cancels the ACQUIRE. A grant that crosses the CANCEL has ended with it. If the server is silent
 * even then, ends the connection.
 */
static int
await_grant(struct remotefile *f, struct mux_call *c, uint64_t deadline)
{
	struct mux *mux = f->remote->mux;
	uint64_t patience;
	int error;

	error = mux_wait(mux, c, answer_due(deadline));
	/* A reply that came between the two calls counts. */
	if (error == -ETIMEDOUT && mux_is_answered(mux, c))
		return mux_wait(mux, c, 0);
	if (error != -ETIMEDOUT || mux_has_ended(mux))
		return error;
	patience = clock_after_ms(clock_now(), SILENCE_MS);
	cancel(f, c, patience);
	(void)mux_wait(mux, c, patience);
	if (!mux_is_answered(mux, c))
		(void)mux_abort(mux, -ETIMEDOUT);
	return -ETIMEDOUT;
}

static void
begin_acquire(struct remotefile *f, struct mux_call *c, enum protocol_mode mode, uint64_t since,
    uint32_t timeout)
{
	struct mux *mux = f->remote->mux;

	mux_begin_call(mux, c, OP_ACQUIRE, 17, grant_most(f));
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
	remotefile_release_empty(f, 0);
	*retry = was_reported;
	return was_reported ? 0 : failure;
}

/* One ACQUIRE. *retry: the grant was of no use, because of a failure that was reported before. */
static int
acquire_once(struct remotefile *f, enum protocol_mode mode, bool is_try, uint64_t deadline,
    bool *retry)
{
	struct mux *mux = f->remote->mux;
	uint64_t since = replica_since(f->base.replica);
	struct mux_call c;
	int error;

	*retry = false;
	error = remotefile_become_sender(f, OP_ACQUIRE, deadline);
	if (error != 0)
		return error;
	begin_acquire(f, &c, mode, since, is_try ? PROTOCOL_TIMEOUT_TRY : timeout_until(deadline));
	error = mux_send(mux);
	if (error == 0)
		error = await_grant(f, &c, deadline);
	if (error == 0) {
		error = use_grant(f, mode, since, c.reply, retry);
		mux_end_call(mux, &c);
		return error == -EPROTO ? remotefile_fail(f, OP_ACQUIRE, error) : error;
	}
	if (error == -EAGAIN && !is_try)
		error = -ETIMEDOUT;
	return remotefile_end_call(f, &c, OP_ACQUIRE, error);
}

int
remotefile_acquire(struct backend_file *base, enum protocol_mode mode, uint64_t deadline)
{
	struct remotefile *f = remotefile_of(base);
	bool is_try = deadline == 0, was_reported, retry;
	int error = remotefile_attach(f);

	if (error != 0)
		return error;
	if (f->remote->terms.version == PROTOCOL_VERSION_1)
		return compat_v1_acquire(f, mode, deadline);
	error = remotefile_take_failure(f, &was_reported);
	if (error != 0 && !was_reported)
		return error;
	/* The server can answer a try at once: do not wait for long. */
	if (is_try)
		deadline = clock_after_ms(clock_now(), SILENCE_MS);
	do
		error = acquire_once(f, mode, is_try, deadline, &retry);
	while (retry);
	return error;
}
