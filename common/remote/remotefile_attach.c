#include <errno.h>

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/client/file.h"
#include "common/client/mount.h"
#include "common/remote/remotefile_core.h"

bool
remotefile_fork_ready(struct mount *m, uint64_t until)
{
	struct protocol_stat s;
	struct remotefile *f;
	struct file *file;
	int error = 0;

	if (!remote_fork_ready(m, until))
		return false;
	TAILQ_FOREACH(file, &m->files, link) {
		f = remotefile_of(file->backend);
		if (error == 0 && atomic_load(&f->life) == 0 &&
		    inherit_has_connected(&f->remote->inherit) &&
		    f->remote->terms.version == PROTOCOL_VERSION_2)
			/* So f can be known again. */
			error = remotefile_request_stat_in_time(f, &s, until);
	}
	return true;
}

/* Closes what has f's name now. */
static int
fail_changed(struct remotefile *f, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, until);
	struct mux_call c;

	if (mux_become_sender(mux, limit) == 0) {
		(void)remotefile_request_close(mux, &c, f->fd, limit);
		mux_end_call(mux, &c);
	}
	return error_message(-ESTALE,
	    "%s: the program has closed the connection of this forked child, and %s is another file by now",
	    f->remote->target.addr->text, f->name);
}

/* The connection has an empty table: opens f there, if it is still the same file. */
static int
open_again(struct remotefile *f, uint64_t until)
{
	struct mux_limit limit = mux_limit(f->remote->mux, until);
	uint64_t life = atomic_load(&f->life);
	struct protocol_stat s;
	int error;

	if (life == 0)
		return error_message(-ESTALE,
		    "%s: the program has closed the connection of this forked child",
		    f->remote->target.addr->text);
	error = remotefile_become_sender(f, OP_OPEN, limit);
	if (error != 0)
		return error;
	error = remotefile_request_open(f, limit);
	if (error != 0)
		return remotefile_fail(f, OP_OPEN, error);
	error = remotefile_request_stat(f, &s, until);
	atomic_store(&f->life, life);
	if (error == 0 && s.life != life)
		error = fail_changed(f, until);
	if (error == 0)
		f->table = f->remote->inherit.table;
	return error;
}

/* In a forked child, attaching: registers f with the new connection. */
static int
register_again(struct remotefile *f, uint64_t until)
{
	struct remote *r = f->remote;
	int error = f->table != r->inherit.table ? open_again(f, until) : 0;

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
