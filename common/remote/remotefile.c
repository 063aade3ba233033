#include "common/remote/remotefile_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/mount.h"
#include "common/client/replica.h"
#include "common/client/smclient.h"

enum {
	LATE_MS = 20, /* how late the reply to a timed request for a lock may be */
	TRY_MS = 900  /* for one that the server can answer at once */
};

/* Registers f with the connection, and opens it there. */
static int
open_name(struct remotefile *f, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, until);
	int error = mux_failure_register(mux, &f->failure);

	if (error != 0)
		return error;
	error = mux_become_sender(mux, limit);
	if (error == 0)
		error = remotefile_request_open(f, limit);
	if (error != 0)
		mux_failure_unregister(mux, &f->failure);
	f->epoch = f->remote->inherit.epoch;
	f->table = f->remote->inherit.table;
	return error;
}

/* What an OPEN2 says of a file is no news of the server's directory. */
static void
fail_to_open(const struct remotefile *f, int error)
{
	if (error == -ENOENT)
		error_message(error, "%s: no process has it open", f->name);
	else if (error == -EEXIST && (f->flags & SM_OPEN_EXCLUSIVE) != 0)
		error_message(error, "%s: it exists", f->name);
	else
		remotefile_fail(f, OP_OPEN, error);
}

/* Opens f over the mount's connection. */
static int
open_once(struct remotefile *f, struct mount *m, struct tls_context *tls, uint64_t until)
{
	int error = remote_get(&f->remote, m, tls, f->codec->speaks_version_1, until);

	if (error != 0)
		return error;
	if (f->flags != SM_OPEN_CREATE)
		error = remotefile_need_extensions(f, "opening with these flags");
	if (error == 0) {
		error = open_name(f, until);
		if (error == 0) {
			/* Opened anew, it has to be the same file. */
			f->flags = SM_OPEN_CREATE;
			return 0;
		}
		fail_to_open(f, error);
	}
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
    struct replica *replica, const char *name, int flags, uint64_t until)
{
	struct remotefile *f = calloc(1, codec->size);
	bool was_connected = remote_is_connected(m);
	int error = -ENOMEM;

	if (f == NULL)
		return -ENOMEM;
	f->base = (struct backend_file){ .ops = ops, .replica = replica };
	f->codec = codec;
	f->flags = flags;
	f->name = strdup(name);
	if (f->name != NULL)
		error = open_once(f, m, tls, until);
	/* An old connection may have been dead before this call: try once more. */
	if (was_connected && (error == -ECONNRESET || error == -ENOTCONN || error == -EBADF))
		error = open_once(f, m, tls, until);
	if (error != 0) {
		destroy(f);
		return error;
	}
	*out = &f->base;
	return 0;
}

int
remotefile_take_failure(struct remotefile *f, bool *was_reported)
{
	int error = mux_failure_take(f->remote->mux, &f->failure, was_reported);

	if (error == 0)
		return 0;
	replica_void(f->base.replica);
	return remotefile_fail(f, OP_RELEASE, error);
}

int
remotefile_end_call(struct remotefile *f, struct mux_call *c, enum protocol_op op, int error)
{
	bool was_reported;
	int failure;

	mux_end_call(f->remote->mux, c);
	if (error != 0)
		remotefile_fail(f, op, error);
	failure = remotefile_take_failure(f, &was_reported);
	return failure != 0 && !was_reported ? failure : error;
}

uint64_t
remotefile_answer_due(uint64_t deadline)
{
	uint64_t now;

	if (deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	now = clock_now();
	if (deadline == 0)
		return clock_after_ms(now, TRY_MS);
	return clock_after_ms(deadline > now ? deadline : now, LATE_MS);
}

uint64_t
remotefile_step_due(const struct remotefile *f, uint64_t due)
{
	uint64_t silence = mount_deadline(f->remote->mount);

	return due < silence ? due : silence;
}

static int
request_close(struct remotefile *f, uint64_t until)
{
	struct mux_limit limit;
	struct mux *mux;
	struct mux_call c;
	int error = remote_attach(f->remote, until);

	if (error != 0 || !remotefile_is_in_table(f))
		return error;
	error = remotefile_attach(f, until);
	if (error != 0)
		return error;
	mux = f->remote->mux;
	limit = mux_limit(mux, until);
	error = mux_become_sender(mux, limit);
	if (error != 0)
		return remotefile_fail(f, OP_CLOSE, error);
	remotefile_begin_close(f, &c);
	return remotefile_end_call(f, &c, OP_CLOSE, dial_exchange(mux, &c, 0, limit));
}

/*
 * True in a forked child that has not attached and closes the last file that it inherited, or all
 * of them: the server has nothing to close.
 */
static bool
needs_no_close(const struct remote *r)
{
	return atomic_load(&r->inherit.is_inherited) &&
	    (r->mount->is_ending || !remote_is_shared(r));
}

int
remotefile_close(struct backend_file *base, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	struct remote *r = f->remote;
	int error = needs_no_close(r) ? 0 : request_close(f, until);

	if (f->epoch == r->inherit.epoch)
		mux_failure_unregister(r->mux, &f->failure);
	remotefile_end_opening(f);
	remote_put(r);
	destroy(f);
	return error;
}

bool
remotefile_is_alive(struct backend_file *base, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);

	return remotefile_attach(f, until) == 0 && mux_is_alive(f->remote->mux);
}

int
remotefile_map(struct backend_file *base, uint32_t size, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	struct remote *r = f->remote;
	struct mux_limit limit;
	struct mux_call c;
	int error = remotefile_attach(f, until);

	if (error != 0)
		return error;
	limit = mux_limit(r->mux, until);
	error = remotefile_become_sender(f, OP_MMAP, limit);
	if (error != 0)
		return error;
	mux_begin_call(r->mux, &c, OP_MMAP, 8, 0);
	mux_put_u32(r->mux, f->fd);
	mux_put_u32(r->mux, size);
	return remotefile_end_call(f, &c, OP_MMAP, dial_exchange(r->mux, &c, 0, limit));
}

/* STAT with the holder. */
static int
request_holder(struct remotefile *f, struct protocol_holder *holder, uint64_t until)
{
	const uint32_t size = PROTOCOL_STAT_SIZE + PROTOCOL_HOLDER_SIZE;
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, until);
	struct protocol_stat s;
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error == 0) {
		mux_begin_call(mux, &c, OP_STAT, 8, size);
		mux_put_u32(mux, f->fd);
		mux_put_u32(mux, PROTOCOL_STAT_HOLDER);
		error = dial_exchange(mux, &c, size, limit);
		if (error == 0) {
			protocol_get_stat(&c.reply, &s);
			protocol_get_holder(&c.reply, holder);
		}
		if (error == 0 && c.reply.failed)
			error = mux_abort(mux, -EPROTO);
		mux_end_call(mux, &c);
	}
	return error != 0 ? remotefile_fail(f, OP_STAT, error) : 0;
}

/*
 * The end of a call that has that result, without the file's local lock: reports a failed release,
 * and leaves the replica to the next holder.
 */
static int
end_question(struct remotefile *f, int error)
{
	int failure = mux_failure_report(f->remote->mux, &f->failure);

	return failure != 0 ? remotefile_fail(f, OP_RELEASE, failure) : error;
}

int
remotefile_stat(struct backend_file *base, struct sm_stat *out, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	struct remote *r = f->remote;
	struct protocol_stat s = { 0 };
	int error;

	error = remotefile_attach(f, until);
	if (error != 0)
		return error;
	if (r->terms.version == PROTOCOL_VERSION_1)
		return error_message(-ENOTSUP, "%s: a version 1 server has no STAT",
		    r->target.addr->text);
	error = end_question(f, remotefile_request_stat(f, &s, until));
	if (error != 0)
		return error;
	/* The server counts a release that has changed nothing (PROTOCOL 2). */
	if (s.type == PROTOCOL_TYPE_SEGMENT && s.version == 0)
		s.type = PROTOCOL_TYPE_UNPUBLISHED;
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

int
remotefile_holder(struct backend_file *base, struct sm_holder *out, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	struct protocol_holder holder = { 0 };
	int error = remotefile_attach(f, until);

	if (error == 0)
		error = remotefile_need_extensions(f, "asking for the holder");
	if (error == 0)
		error = end_question(f, request_holder(f, &holder, until));
	if (error == 0)
		*out = (struct sm_holder){ .mode = holder.mode,
			.pid = holder.pid != 0 ? (int64_t)holder.pid : -1 };
	return error;
}

/* Leaves a failed release to a call that can report it. */
bool
remotefile_is_contended(struct backend_file *base, uint64_t deadline)
{
	struct remotefile *f = remotefile_of(base);
	uint64_t until = remotefile_step_due(f, remotefile_answer_due(deadline));
	struct protocol_stat s = { 0 };
	int error;

	if (remotefile_attach(f, until) != 0 || f->remote->terms.version == PROTOCOL_VERSION_1)
		return true;
	if (deadline == CLOCK_NEVER)
		error = remotefile_request_stat(f, &s, until);
	else
		error = remotefile_request_stat_in_time(f, &s, until);
	return error != 0 || s.waiters > 0;
}

int
remotefile_grant(struct backend_file *base, uint64_t *life, uint64_t *grant, uint64_t until)
{
	struct remotefile *f = remotefile_of(base);
	struct sm_stat s;
	int error;

	/* As long as we have it open it is of one life. */
	if (atomic_load(&f->life) == 0) {
		error = remotefile_stat(base, &s, until);
		if (error != 0)
			return error;
	}
	*life = atomic_load(&f->life);
	*grant = atomic_load(&f->grant);
	return 0;
}
