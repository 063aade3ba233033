#include "common/remote/standing.h"

#include <errno.h>

#include "common/base/clock.h"

int
standing_begin(struct standing *s, struct mux *mux, uint64_t until, uint64_t silence)
{
	struct mux_limit limit = mux_limit(mux, clock_now() + silence);
	int error = mux_become_quick_sender(mux, until, limit);

	if (error != 0)
		return error;
	s->mux = mux;
	s->limit = limit;
	return 0;
}

void
standing_send(struct standing *s)
{
	(void)mux_send(s->mux);
}

int
standing_wait(struct standing *s, uint32_t size, uint64_t until)
{
	int error = mux_wait_in_time(s->mux, &s->call, until, s->limit);

	if (error == -ETIMEDOUT && !mux_has_ended(s->mux))
		return error;
	if (error == 0 && s->call.reply.left != size)
		error = mux_abort(s->mux, -EPROTO);
	s->mux = NULL;
	return error;
}

void
standing_renew(struct standing *s, uint64_t silence)
{
	s->limit = mux_limit(s->mux, clock_now() + silence);
}

void
standing_end(struct standing *s)
{
	if (s->mux == NULL)
		return;
	(void)mux_abort(s->mux, -ETIMEDOUT);
	mux_end_call(s->mux, &s->call);
	s->mux = NULL;
}
