#include "common/remote/compat_v1.h"

#include <errno.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/client/replica.h"
#include "common/remote/remotefile_core.h"

enum { PAUSE_LEAST = 50 * 1000, PAUSE_MOST = 5 * 1000 * 1000 }; /* nanoseconds */

/* The version of a replica that has received a segment: this protocol has no versions. */
enum { SOME_VERSION = 1 };

/* Applies the body of the reply to a LOCK. Returns 0, or -EPROTO with the mapping as it was. */
static int
apply_lock(struct remotefile *f, struct wire_reader reply)
{
	struct replica *replica = f->base.replica;
	uint32_t size = replica->dirty.size;
	uint8_t type = wire_get_u8(&reply);
	const uint8_t *bytes = NULL;

	if (type == PROTOCOL_TYPE_SEGMENT && wire_get_u32(&reply) == size)
		bytes = wire_get_bytes(&reply, size);
	if (!wire_is_done(&reply) ||
	    (f->v1_type == PROTOCOL_TYPE_PURE) != (type == PROTOCOL_TYPE_PURE) ||
	    type > PROTOCOL_TYPE_UNPUBLISHED || (type == PROTOCOL_TYPE_SEGMENT && bytes == NULL))
		return -EPROTO;
	if (type == PROTOCOL_TYPE_PURE)
		return 0;
	/* What was published does not become unpublished: the program would keep what it has. */
	if (type == PROTOCOL_TYPE_UNPUBLISHED && replica_since(replica) != 0)
		return -EPROTO;
	if (type == PROTOCOL_TYPE_UNPUBLISHED) {
		replica_grant_begin(replica, 0);
		replica_grant_end(replica, 0);
		return 0;
	}
	replica_grant_begin(replica, SOME_VERSION);
	replica_grant_write(replica, 0, bytes, size);
	replica_grant_end(replica, SOME_VERSION);
	return 0;
}

/*
 * LOCK, once. This protocol cannot take it back: a server that is silent costs the connection, for
 * a try and a timed wait as well.
 */
static int
try_lock(struct remotefile *f, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return remotefile_fail(f, OP_LOCK, error);
	mux_begin_call(mux, &c, OP_LOCK, 5, 1 + 4 + f->base.replica->dirty.size);
	mux_put_u32(mux, f->fd);
	mux_put_u8(mux, f->v1_type);
	error = mux_send(mux);
	if (error == 0)
		error = mux_wait(mux, &c, limit);
	if (error == -ETIMEDOUT)
		error = mux_abort(mux, error);
	if (error == 0 && apply_lock(f, c.reply) != 0)
		error = mux_abort(mux, -EPROTO);
	mux_end_call(mux, &c);
	return error != 0 ? remotefile_fail(f, OP_LOCK, error) : 0;
}

/* Sleeps for pause or left nanoseconds, the shorter of them. -EINTR: a signal ends the wait e. */
static int
sleep_between(uint64_t pause, uint64_t left, struct eintr *e)
{
	uint64_t length = pause < left ? pause : left;
	struct timespec ts = clock_timespec(length);
	int error = 0;

	if (e != NULL)
		error = eintr_poll(e, NULL, clock_now() + length);
	else
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	return error == -EINTR ? error : 0;
}

/* When the reply to a LOCK that is sent now must have come. */
static uint64_t
due_of(const struct remotefile *f, uint64_t deadline)
{
	return remotefile_step_due(f, remotefile_answer_due(deadline));
}

int
compat_v1_acquire(struct remotefile *f, enum protocol_mode mode, uint64_t deadline, struct eintr *e)
{
	uint64_t pause = PAUSE_LEAST, left = CLOCK_NEVER, now;
	int error;

	f->mode = mode;
	f->v1_type = replica_is_mapped(f->base.replica) ? PROTOCOL_TYPE_SEGMENT :
							  PROTOCOL_TYPE_PURE;
	while ((error = try_lock(f, due_of(f, deadline))) == -EAGAIN && deadline != 0) {
		if (atomic_load(&f->base.is_interrupted))
			return -ECANCELED;
		if (deadline != CLOCK_NEVER) {
			now = clock_now();
			if (now >= deadline)
				return remotefile_fail(f, OP_LOCK, -ETIMEDOUT);
			left = deadline - now;
		}
		error = sleep_between(pause, left, e);
		if (error != 0)
			return remotefile_fail(f, OP_LOCK, error);
		pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
	}
	return error;
}

/* UNLOCK, with the shadow if there is a segment. */
static int
unlock(struct remotefile *f, uint64_t until)
{
	struct replica *replica = f->base.replica;
	struct mux *mux = f->remote->mux;
	bool has_segment = f->v1_type == PROTOCOL_TYPE_SEGMENT;
	uint32_t size = replica->dirty.size;
	struct mux_limit limit = mux_limit(mux, until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error == -ETIMEDOUT)
		error = mux_abort(mux, error);
	if (error != 0)
		return remotefile_fail(f, OP_UNLOCK, error);
	mux_begin_call(mux, &c, OP_UNLOCK, 5 + (has_segment ? (uint64_t)4 + size : 0), 0);
	mux_put_u32(mux, f->fd);
	mux_put_u8(mux, f->v1_type);
	if (has_segment) {
		mux_put_u32(mux, size);
		mux_put(mux, replica->dirty.shadow, size);
	}
	error = dial_exchange(mux, &c, 0, limit);
	mux_end_call(mux, &c);
	return error != 0 ? remotefile_fail(f, OP_UNLOCK, error) : 0;
}

int
compat_v1_release(struct remotefile *f, bool is_publishing, uint64_t until)
{
	struct replica *replica = f->base.replica;
	bool has_segment = f->v1_type == PROTOCOL_TYPE_SEGMENT;
	int error;

	/*
	 * UNLOCK publishes, a reader's too: it must send what the program wrote to a fresh replica.
	 */
	if (has_segment && is_publishing && (f->mode == PROTOCOL_EXCLUSIVE || replica->is_fresh))
		replica_collect_all(replica);
	error = unlock(f, until);
	if (has_segment) {
		if (error != 0 || !is_publishing)
			replica_void(replica);
		else
			replica_published(replica, SOME_VERSION);
	}
	return error;
}
