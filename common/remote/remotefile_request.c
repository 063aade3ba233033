#include "common/remote/remotefile_core.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/client/smclient.h"

int
remotefile_fail(const struct remotefile *f, enum protocol_op op, int error)
{
	return remote_fail(f->remote, op, f->name, error);
}

int
remotefile_become_sender(struct remotefile *f, enum protocol_op op, struct mux_limit limit)
{
	int error = mux_become_sender(f->remote->mux, limit);

	return error != 0 ? remotefile_fail(f, op, error) : 0;
}

int
remotefile_need_extensions(const struct remotefile *f, const char *what)
{
	if (f->remote->terms.has_extensions)
		return 0;
	return error_message(-ENOTSUP, "%s: %s needs a newer server", f->remote->target.addr->text,
	    what);
}

void
remotefile_begin_open(struct remotefile *f, struct mux_call *c)
{
	bool has_flags = f->flags != SM_OPEN_CREATE;
	struct mux *mux = f->remote->mux;
	size_t size = strlen(f->name);

	mux_begin_call(mux, c, has_flags ? OP_OPEN2 : OP_OPEN, (has_flags ? 8 : 4) + size, 4);
	if (has_flags)
		mux_put_u32(mux, (uint32_t)f->flags);
	mux_put_u32(mux, (uint32_t)size);
	mux_put(mux, f->name, size);
}

int
remotefile_request_open(struct remotefile *f, struct mux_limit limit)
{
	struct mux *mux = f->remote->mux;
	struct mux_call c;
	int error;

	remotefile_begin_open(f, &c);
	error = dial_exchange(mux, &c, 4, limit);
	if (error == 0)
		f->fd = wire_get_u32(&c.reply);
	mux_end_call(mux, &c);
	return error;
}

void
remotefile_begin_close(struct remotefile *f, struct mux_call *c)
{
	mux_begin_call(f->remote->mux, c, OP_CLOSE, 4, 0);
	mux_put_u32(f->remote->mux, f->fd);
}

static void
begin_stat(struct remotefile *f, struct mux_call *c)
{
	mux_begin_call(f->remote->mux, c, OP_STAT, 4, PROTOCOL_STAT_SIZE);
	mux_put_u32(f->remote->mux, f->fd);
}

/* The exchange has that result, which is returned. */
static int
end_stat(struct remotefile *f, struct mux_call *c, struct protocol_stat *s, int error)
{
	if (error == 0)
		protocol_get_stat(&c->reply, s);
	mux_end_call(f->remote->mux, c);
	return error;
}

int
remotefile_request_stat(struct remotefile *f, struct protocol_stat *s, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_limit limit = mux_limit(mux, until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error == 0) {
		begin_stat(f, &c);
		error = end_stat(f, &c, s, dial_exchange(mux, &c, PROTOCOL_STAT_SIZE, limit));
	}
	if (error == 0)
		atomic_store(&f->life, s->life);
	return error != 0 ? remotefile_fail(f, OP_STAT, error) : 0;
}

int
remotefile_request_stat_in_time(struct remotefile *f, struct protocol_stat *s, uint64_t until)
{
	struct mux *mux = f->remote->mux;
	struct mux_call c;
	int error = mux_become_quick_sender(mux, until, mux_limit(mux, until));

	if (error != 0)
		return error;
	begin_stat(f, &c);
	return end_stat(f, &c, s, dial_exchange_in_time(mux, &c, PROTOCOL_STAT_SIZE, until));
}
