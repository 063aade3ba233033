#include <errno.h>

#include "common/base/clock.h"
#include "common/base/testpoint.h"
#include "common/remote/remotefile_core.h"

bool
remotefile_leave_upgrade(struct remotefile *f)
{
	f->is_unsettled = mux_take_back(f->remote->mux, &f->upgrade);
	return f->is_unsettled;
}

/* The upgrade was granted before its CANCEL, which then has made the grant a shared one. */
static int
read_grant(struct remotefile *f, struct wire_reader reply)
{
	uint64_t grant = wire_get_u64(&reply);

	wire_get_u64(&reply); /* the version, which is that of the shared grant before */
	if (reply.failed)
		return mux_abort(f->remote->mux, -EPROTO);
	atomic_store_explicit(&f->grant, grant, memory_order_relaxed);
	f->has_segment = reply.left > 0;
	return 0;
}

int
remotefile_settle(struct remotefile *f, int error)
{
	struct mux *mux = f->remote->mux;

	if (error == -ETIMEDOUT || error == -EINTR) {
		testpoint_reach("upgrade: waited");
		if (mux_take_back(mux, &f->upgrade))
			return error;
		/* The reply came between the two calls. */
		if (!mux_has_ended(mux))
			error = mux_wait(mux, &f->upgrade, mux_limit_exact(clock_now()));
	}
	if (error == 0)
		error = read_grant(f, f->upgrade.reply);
	else if (!mux_has_ended(mux))
		error = 0;
	f->is_unsettled = false;
	mux_end_call(mux, &f->upgrade);
	return error;
}
