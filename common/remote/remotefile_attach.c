#include <errno.h>

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/client/file.h"
#include "common/client/mount.h"
#include "common/remote/remotefile_core.h"

/* True when an OPEN of this process's is to be answered. */
static bool
is_opening(const struct remotefile *f)
{
	return standing_is_sent(&f->opening) && f->opening_epoch == f->remote->inherit.epoch;
}

bool
remotefile_is_in_table(const struct remotefile *f)
{
	return f->table == f->remote->inherit.table || is_opening(f);
}

void
remotefile_end_opening(struct remotefile *f)
{
	if (is_opening(f))
		standing_end(&f->opening);
}

static int
send_open(struct remotefile *f, uint64_t until)
{
	struct remote *r = f->remote;
	int error = standing_begin(&f->opening, r->mux, until, r->target.silence);

	if (error != 0)
		return error;
	f->opening_epoch = r->inherit.epoch;
	remotefile_begin_open(f, &f->opening.call);
	standing_send(&f->opening);
	return 0;
}

/* Waits for the answer to the OPEN; what it has opened may be another file. */
static int
await_open(struct remotefile *f, uint64_t until)
{
	int error = standing_wait(&f->opening, 4, until);

	if (standing_is_sent(&f->opening))
		return error;
	if (error == 0) {
		f->fd = wire_get_u32(&f->opening.call.reply);
		f->table = f->remote->inherit.table;
		f->is_unverified = true;
	}
	mux_end_call(f->remote->mux, &f->opening.call);
	return error;
}

/* Asks for the life of f, so that the child can know it again. */
static int
learn_life(struct remotefile *f, uint64_t until)
{
	struct protocol_stat s;
	int error;

	if (atomic_load(&f->life) != 0 || f->table != f->remote->inherit.table ||
	    f->remote->terms.version != PROTOCOL_VERSION_2)
		return 0;
	error = remotefile_request_stat_in_time(f, &s, until);
	if (error == 0)
		atomic_store(&f->life, s.life);
	return error;
}

bool
remotefile_fork_ready(struct mount *m, uint64_t until)
{
	const struct inherit *k;
	struct remotefile *f;
	struct file *file;
	int error = 0;

	if (!remote_fork_ready(m, until))
		return false;
	TAILQ_FOREACH(file, &m->files, link) {
		f = remotefile_of(file->backend);
		k = &f->remote->inherit;
		/* The child's copy has what was opened before it was made. */
		if (k->is_held && is_opening(f))
			(void)await_open(f, until);
		if (error == 0 && inherit_has_connected(k))
			error = learn_life(f, until);
	}
	return true;
}

/* The connection has an empty table: opens f there, or goes on with it. */
static int
open_again(struct remotefile *f, uint64_t until)
{
	int error = 0;

	if (atomic_load(&f->life) == 0)
		return error_message(-ESTALE,
		    "%s: the program has closed the connection of this forked child",
		    f->remote->target.addr->text);
	if (!is_opening(f))
		error = send_open(f, until);
	if (error == 0)
		error = await_open(f, until);
	return error != 0 ? remotefile_fail(f, OP_OPEN, error) : 0;
}

/* Closes what has f's name now; until it can, f stays unverified. */
static int
fail_changed(struct remotefile *f, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_call c;

	if (mux_become_quick_sender(mux, until, mux_limit(mux, until)) == 0) {
		remotefile_begin_close(f, &c);
		(void)dial_exchange_in_time(mux, &c, 0, until);
		mux_end_call(mux, &c);
		f->is_unverified = false;
		f->table--; /* it is not in this one any more */
	}
	return error_message(-ESTALE,
	    "%s: the program has closed the connection of this forked child, and %s is another file by now",
	    f->remote->target.addr->text, f->name);
}

/* Is what was opened anew the same file still? */
static int
verify(struct remotefile *f, uint64_t until)
{
	struct protocol_stat s;
	int error = remotefile_request_stat_in_time(f, &s, until);

	if (error != 0)
		return remotefile_fail(f, OP_STAT, error);
	if (s.life != atomic_load(&f->life))
		return fail_changed(f, until);
	f->is_unverified = false;
	return 0;
}

/* In a forked child, attaching: registers f with the new connection. */
static int
register_again(struct remotefile *f, uint64_t until)
{
	struct remote *r = f->remote;
	int error = f->table != r->inherit.table ? open_again(f, until) : 0;

	if (error == 0 && f->is_unverified)
		error = verify(f, until);
	if (error != 0)
		return error;
	/* The parent settles its upgrade, and reports the failures of its releases. */
	f->is_unsettled = false;
	f->failure = (struct mux_failure){ 0 };
	error = mux_failure_register(r->mux, &f->failure);
	if (error == 0)
		f->epoch = r->inherit.epoch;
	return error;
}

int
remotefile_attach(struct remotefile *f, uint64_t until)
{
	struct remote *r = f->remote;
	int error = remote_attach(r, until);

	if (error != 0 || f->epoch == r->inherit.epoch)
		return error;
	if (!mutex_lock_until(&r->inherit.attaching, until))
		return error_message(-ETIMEDOUT, "%s: another thread opens a file anew",
		    r->target.addr->text);
	if (f->epoch != r->inherit.epoch)
		error = register_again(f, until);
	(void)pthread_mutex_unlock(&r->inherit.attaching);
	return error;
}
