#include "common/client/remotefile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/client/compat_v1.h"
#include "common/client/mount.h"
#include "common/client/replica.h"
#include "common/client/smclient.h"
#include "common/client/words.h"
#include "common/wire/delta.h"

enum {
	RELEASE_HEAD_SIZE = 13,
	LATE_MS =
	    50, /* how late the server's answer to a timed ACQUIRE may be before we take that back */
	SILENCE_MS = 5000 /* how long a server may say nothing when it has no reason to */
};

static const uint8_t no_blocks[DELTA_COUNT_SIZE];

static struct remotefile *
remotefile(struct backend_file *f)
{
	return (struct remotefile *)f;
}

int
remotefile_fail(const struct remotefile *f, enum op op, int error)
{
	return remote_fail(f->remote, op, f->name, error);
}

/* OPEN, in the sender's turn. */
static int
ask_open(struct remotefile *f)
{
	struct remote *r = f->remote;
	size_t size = strlen(f->name);
	struct mux_call c;
	int error;

	mux_call(r->mux, &c, OP_OPEN, 4 + size, 4);
	mux_put_u32(r->mux, (uint32_t)size);
	mux_put(r->mux, f->name, size);
	error = remote_exchange(r, &c, 4);
	if (error == 0)
		f->fd = wire_get_u32(&c.reply);
	mux_end(r->mux, &c);
	return error;
}

/* OPEN, over the mount's connection; enrolls f there. */
static int
open_name(struct remotefile *f)
{
	struct mux *mux = f->remote->mux;
	int error = mux_enroll(mux, &f->notice);

	if (error != 0)
		return error;
	error = mux_begin(mux, CLOCK_NEVER);
	if (error == 0)
		error = ask_open(f);
	if (error != 0)
		mux_dismiss(mux, &f->notice);
	f->epoch = f->remote->fork.epoch;
	return error;
}

/* Opens f over the mount's connection, which is made if there is none that lives. */
static int
open_once(struct remotefile *f, struct mount *m, struct tls_context *tls)
{
	int error = remote_get(&f->remote, m, tls, f->codec->speaks_version_1);

	if (error != 0)
		return error;
	error = open_name(f);
	if (error == 0)
		return 0;
	remotefile_fail(f, OP_OPEN, error);
	remote_put(f->remote);
	f->remote = NULL;
	return error;
}

static void
destroy(struct remotefile *f)
{
	if (f->codec->fini != NULL)
		f->codec->fini(f);
	free(f->name);
	free(f);
}

int
remotefile_open(struct backend_file **out, const struct backend_ops *ops,
    const struct remotefile_codec *codec, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name)
{
	struct remotefile *f = calloc(1, codec->size);
	bool is_old = m->remote != NULL;
	int error = -ENOMEM;

	if (f == NULL)
		return -ENOMEM;
	f->base = (struct backend_file){ .ops = ops, .replica = replica };
	f->codec = codec;
	if (codec->init != NULL)
		codec->init(f);
	f->name = strdup(name);
	if (f->name != NULL)
		error = open_once(f, m, tls);
	/*
	 * The server may have gone since the connection was last used: that is not this one's
	 * fault.
	 */
	if (is_old && (error == -ECONNRESET || error == -ENOTCONN))
		error = open_once(f, m, tls);
	if (error != 0) {
		destroy(f);
		return error;
	}
	*out = &f->base;
	return 0;
}

/* Enrolls f anew in the connection that a forked child made. */
static int
enroll_again(struct remotefile *f)
{
	struct remote *r = f->remote;
	int error = 0;

	(void)pthread_mutex_lock(&r->fork.mutex);
	if (f->epoch != r->fork.epoch) {
		/* What the parent's releases came to is not ours to tell. */
		f->notice = (struct mux_notice){ 0 };
		error = mux_enroll(r->mux, &f->notice);
		if (error == 0)
			f->epoch = r->fork.epoch;
	}
	(void)pthread_mutex_unlock(&r->fork.mutex);
	return error;
}

/* Makes sure that the connection is this process's, and knows f. */
static int
enter(struct remotefile *f)
{
	int error = remotefork_enter(f->remote);

	if (error != 0 || f->epoch == f->remote->fork.epoch)
		return error;
	return enroll_again(f);
}

/*
 * The failure of the last release, if it has come: the replica was void since then. For who has the file's
 * lock. Returns 0 or a negative errno; *was_told: somebody was told already.
 */
static int
take_refusal(struct remotefile *f, bool *was_told)
{
	int error = mux_take_notice(f->remote->mux, &f->notice, was_told);

	if (error == 0)
		return 0;
	replica_void(f->base.replica);
	return remotefile_fail(f, OP_RELEASE, error);
}

/* Begins a sender's turn for f. */
static int
begin(struct remotefile *f, enum op op, uint64_t deadline)
{
	int error = mux_begin(f->remote->mux, deadline);

	return error != 0 ? remotefile_fail(f, op, error) : 0;
}

/* Ends a call for who has the file's lock: the result is error, which op had, or the failure of the release before. */
static int
finish(struct remotefile *f, struct mux_call *c, enum op op, int error)
{
	bool was_told;
	int refusal;

	mux_end(f->remote->mux, c);
	if (error != 0)
		remotefile_fail(f, op, error);
	refusal = take_refusal(f, &was_told);
	return refusal != 0 && !was_told ? refusal : error;
}

static int
ask_close(struct remotefile *f)
{
	struct mux *mux;
	struct mux_call c;
	int error = enter(f);

	if (error != 0)
		return error;
	mux = f->remote->mux;
	error = mux_begin(mux, CLOCK_NEVER);
	if (error != 0)
		return remotefile_fail(f, OP_CLOSE, error);
	mux_call(mux, &c, OP_CLOSE, 4, 0);
	mux_put_u32(mux, f->fd);
	return finish(f, &c, OP_CLOSE, remote_exchange(f->remote, &c, 0));
}

/* True when closing has nobody to be told to: a child that never called closes the last of what it inherited. */
static bool
is_unused_copy(const struct remote *r)
{
	unsigned others = r->references - 1 - (r->mount->remote == r);

	return atomic_load(&r->fork.is_inherited) && others == 0;
}

int
remotefile_close(struct backend_file *base)
{
	struct remotefile *f = remotefile(base);
	struct remote *r = f->remote;
	int error = is_unused_copy(r) ? 0 : ask_close(f);

	if (f->epoch == r->fork.epoch)
		mux_dismiss(r->mux, &f->notice);
	remote_put(r);
	destroy(f);
	return error;
}

bool
remotefile_is_alive(struct backend_file *f)
{
	struct remote *r = remotefile(f)->remote;

	return remotefork_enter(r) == 0 && mux_is_alive(r->mux);
}

int
remotefile_map(struct backend_file *base, uint32_t size)
{
	struct remotefile *f = remotefile(base);
	struct remote *r = f->remote;
	struct mux_call c;
	int error = enter(f);

	if (error == 0)
		error = begin(f, OP_MMAP, CLOCK_NEVER);
	if (error != 0)
		return error;
	mux_call(r->mux, &c, OP_MMAP, 8, 0);
	mux_put_u32(r->mux, f->fd);
	mux_put_u32(r->mux, size);
	return finish(f, &c, OP_MMAP, remote_exchange(r, &c, 0));
}

static int
ask_stat(struct remotefile *f, struct ops_stat *s)
{
	struct remote *r = f->remote;
	struct mux_call c;
	int error = begin(f, OP_STAT, CLOCK_NEVER);

	if (error != 0)
		return error;
	mux_call(r->mux, &c, OP_STAT, 4, OPS_STAT_SIZE);
	mux_put_u32(r->mux, f->fd);
	error = remote_exchange(r, &c, OPS_STAT_SIZE);
	if (error == 0)
		ops_get_stat(&c.reply, s);
	mux_end(r->mux, &c);
	return error != 0 ? remotefile_fail(f, OP_STAT, error) : 0;
}

/* Without the file's lock: it tells of a refused release, and leaves it to the next holder to act on that. */
int
remotefile_stat(struct backend_file *base, struct sm_stat *out)
{
	struct remotefile *f = remotefile(base);
	struct remote *r = f->remote;
	struct ops_stat s = { 0 };
	int error, refusal;

	error = enter(f);
	if (error != 0)
		return error;
	if (r->terms.version == OPS_VERSION_1)
		return words_fail(-ENOTSUP, "%s: a version 1 server does not tell", r->address);
	error = ask_stat(f, &s);
	refusal = mux_tell_notice(r->mux, &f->notice);
	if (refusal != 0)
		return remotefile_fail(f, OP_RELEASE, refusal);
	if (error != 0)
		return error;
	*out = (struct sm_stat){
		.life = s.life,
		.size = s.size,
		.committed = s.committed,
		.type = s.type,
		.open_count = s.open_count,
		.waiters = s.waiters,
		.version = s.version,
		.grants = s.grants,
	};
	memcpy(out->instance, r->terms.instance_id, sizeof out->instance);
	return 0;
}

/* Puts the head of a RELEASE, up to its delta. */
static void
put_release(struct remotefile *f, uint8_t flags)
{
	struct mux *mux = f->remote->mux;

	mux_put_u32(mux, f->fd);
	mux_put_u64(mux, f->grant);
	mux_put_u8(mux, flags);
}

/* A grant that cannot be used, or is not wanted any more. The caller has an error to tell already. */
static void
give_back(struct remotefile *f, uint8_t flags)
{
	struct mux *mux = f->remote->mux;
	size_t size = f->has_segment ? sizeof no_blocks : 0;

	if (mux_begin(mux, CLOCK_NEVER) != 0)
		return;
	mux_tell(mux, &f->notice, OP_RELEASE, RELEASE_HEAD_SIZE + size);
	put_release(f, flags | OPS_RELEASE_ONE_WAY);
	mux_put(mux, no_blocks, size);
	(void)mux_send(mux);
}

/* Reads the head of the reply to an ACQUIRE that said since; what is left of it is the delta. */
static int
read_grant(struct remotefile *f, enum ops_mode mode, uint64_t since, struct wire_reader *reply,
    uint64_t *version)
{
	f->grant = wire_get_u64(reply);
	*version = wire_get_u64(reply);
	f->mode = mode;
	f->has_segment = reply->left > 0;
	if (reply->failed || *version < since ||
	    (replica_is_mapped(f->base.replica) && !f->has_segment))
		return mux_break(f->remote->mux, -EPROTO);
	return 0;
}

/* Takes the reply to an ACQUIRE. */
static int
take_grant(struct remotefile *f, enum ops_mode mode, uint64_t since, struct wire_reader reply)
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
		give_back(f, error == -EBADMSG ? OPS_RELEASE_UNVERIFIED : 0);
	}
	return error;
}

/* What is left until deadline as an ACQUIRE has it, rounded up. */
static uint32_t
timeout_until(uint64_t deadline)
{
	uint64_t now, ms;

	if (deadline == CLOCK_NEVER)
		return OPS_TIMEOUT_NEVER;
	if (deadline == 0 || deadline <= (now = clock_now()))
		return OPS_TIMEOUT_TRY;
	ms = (deadline - now + CLOCK_MS - 1) / CLOCK_MS;
	return ms < OPS_TIMEOUT_NEVER ? (uint32_t)ms : OPS_TIMEOUT_NEVER - 1;
}

/* The largest reply that an ACQUIRE can have. */
static uint32_t
grant_most(const struct remotefile *f)
{
	const struct replica *replica = f->base.replica;

	if (!replica_is_mapped(replica))
		return f->remote->terms.largest_body;
	return ops_largest_body(replica->dirty.size);
}

/* Takes an ACQUIRE back. It is answered one way or the other, unless the connection ends. */
static void
cancel(struct remotefile *f, struct mux_call *acquire, uint64_t deadline)
{
	struct mux *mux = f->remote->mux;
	struct mux_call c;

	if (mux_begin(mux, deadline) != 0)
		return;
	mux_call(mux, &c, OP_CANCEL, 4, 0);
	mux_put_u32(mux, acquire->tag);
	if (mux_send(mux) != 0 || mux_wait(mux, &c, deadline) != 0)
		(void)mux_break(mux, -ETIMEDOUT);
	mux_end(mux, &c);
}

/* When an ACQUIRE that was sent just now, with that deadline, has been answered for sure. */
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
 * Waits for the answer to an ACQUIRE. The server's clock ends a wait in time; if it does not, we take
 * the ACQUIRE back, and a grant that crosses that is given back. A server that is silent even then is given up.
 */
static int
await_grant(struct remotefile *f, struct mux_call *c, uint64_t since, uint64_t deadline)
{
	struct mux *mux = f->remote->mux;
	uint64_t version, patience;
	int error;

	error = mux_wait(mux, c, answer_due(deadline));
	/* It may have come between the two: then it counts. */
	if (error == -ETIMEDOUT && mux_is_answered(mux, c))
		return mux_wait(mux, c, 0);
	if (error != -ETIMEDOUT || mux_has_ended(mux))
		return error;
	patience = clock_after_ms(clock_now(), SILENCE_MS);
	cancel(f, c, patience);
	error = mux_wait(mux, c, patience);
	if (error == 0 && read_grant(f, OPS_EXCLUSIVE, since, &c->reply, &version) == 0)
		give_back(f, 0);
	else if (!mux_is_answered(mux, c))
		(void)mux_break(mux, -ETIMEDOUT);
	return -ETIMEDOUT;
}

static void
ask_grant(struct remotefile *f, struct mux_call *c, enum ops_mode mode, uint64_t since,
    uint32_t timeout)
{
	struct mux *mux = f->remote->mux;

	mux_call(mux, c, OP_ACQUIRE, 17, grant_most(f));
	mux_put_u32(mux, f->fd);
	mux_put_u8(mux, (uint8_t)mode);
	mux_put_u32(mux, timeout);
	mux_put_u64(mux, since);
}

/*
 * Takes the answer to an ACQUIRE that said since. If the release before was refused, the replica is not
 * what since said, and the grant is given back: -ESTALE or what the refusal was, or 0 and *again when that was
 * told before.
 */
static int
use_grant(struct remotefile *f, enum ops_mode mode, uint64_t since, struct wire_reader reply,
    bool *again)
{
	bool was_told;
	uint64_t version;
	int refusal = take_refusal(f, &was_told), error;

	if (refusal == 0)
		return take_grant(f, mode, since, reply);
	error = read_grant(f, mode, since, &reply, &version);
	if (error != 0)
		return error;
	give_back(f, 0);
	*again = was_told;
	return was_told ? 0 : refusal;
}

/* One ACQUIRE. *again: it has come to nothing, and not for a reason that is to be told. */
static int
acquire(struct remotefile *f, enum ops_mode mode, bool is_try, uint64_t deadline, bool *again)
{
	struct mux *mux = f->remote->mux;
	uint64_t since = replica_since(f->base.replica);
	struct mux_call c;
	int error;

	*again = false;
	error = begin(f, OP_ACQUIRE, deadline);
	if (error != 0)
		return error;
	ask_grant(f, &c, mode, since, is_try ? OPS_TIMEOUT_TRY : timeout_until(deadline));
	error = mux_send(mux);
	if (error == 0)
		error = await_grant(f, &c, since, deadline);
	if (error == 0) {
		error = use_grant(f, mode, since, c.reply, again);
		mux_end(mux, &c);
		return error == -EPROTO ? remotefile_fail(f, OP_ACQUIRE, error) : error;
	}
	if (error == -EAGAIN && !is_try)
		error = -ETIMEDOUT;
	return finish(f, &c, OP_ACQUIRE, error);
}

int
remotefile_acquire(struct backend_file *base, enum ops_mode mode, uint64_t deadline)
{
	struct remotefile *f = remotefile(base);
	bool is_try = deadline == 0, was_told, again;
	int error = enter(f);

	if (error != 0)
		return error;
	if (f->remote->terms.version == OPS_VERSION_1)
		return compat_v1_acquire(f, mode, deadline);
	error = take_refusal(f, &was_told);
	if (error != 0 && !was_told)
		return error;
	/* A try waits for nobody's lock; the server has to say so soon all the same. */
	if (is_try)
		deadline = clock_after_ms(clock_now(), SILENCE_MS);
	do
		error = acquire(f, mode, is_try, deadline, &again);
	while (again);
	return error;
}

/* RELEASE and its reply, for a server with leases. */
static int
release_and_wait(struct remotefile *f, uint64_t delta_size,
    void (*put)(struct remotefile *, struct mux *))
{
	struct remote *r = f->remote;
	struct mux_call c;
	int error;

	mux_call(r->mux, &c, OP_RELEASE, RELEASE_HEAD_SIZE + delta_size, 8);
	put_release(f, 0);
	put(f, r->mux);
	error = remote_exchange(r, &c, 8);
	mux_end(r->mux, &c);
	return error;
}

static void
put_no_blocks(struct remotefile *f, struct mux *mux)
{
	mux_put(mux, no_blocks, f->has_segment ? sizeof no_blocks : 0);
}

/* Sends the RELEASE that was prepared and, where the server has leases, waits for what comes of it. */
static int
send_release(struct remotefile *f, uint64_t delta_size, bool is_prepared)
{
	void (*put)(struct remotefile *, struct mux *) = is_prepared ? f->codec->put :
								       put_no_blocks;
	struct remote *r = f->remote;
	int error = mux_begin(r->mux, CLOCK_NEVER);

	if (error == 0 && r->terms.has_leases) {
		error = release_and_wait(f, delta_size, put);
	} else if (error == 0) {
		mux_tell(r->mux, &f->notice, OP_RELEASE, RELEASE_HEAD_SIZE + delta_size);
		put_release(f, OPS_RELEASE_ONE_WAY);
		put(f, r->mux);
		error = mux_send(r->mux);
	}
	return error != 0 ? remotefile_fail(f, OP_RELEASE, error) : 0;
}

int
remotefile_release(struct backend_file *base, bool is_publishing)
{
	struct remotefile *f = remotefile(base);
	struct replica *replica = base->replica;
	bool is_exclusive = f->mode == OPS_EXCLUSIVE, is_prepared = false, has_blocks = false;
	uint64_t size = f->has_segment ? sizeof no_blocks : 0;
	int error = 0, sent;

	if (f->remote->terms.version == OPS_VERSION_1)
		return compat_v1_release(f, is_publishing);
	if (is_publishing && is_exclusive && replica_is_mapped(replica)) {
		error = f->codec->prepare(f, &size, &has_blocks);
		is_prepared = error == 0;
	}
	sent = send_release(f, size, is_prepared);
	if (sent != 0)
		error = sent;
	if (error != 0 || (is_exclusive && !is_publishing))
		replica_void(replica);
	else if (has_blocks)
		replica_published(replica, f->grant);
	return error;
}
