#include "common/server/core/grace.h"

#include "common/server/core/core.h"
#include "common/server/core/reply.h"

bool
grace_is_over(struct session *s, struct timer *t, uint32_t *turn)
{
	struct server *v = s->server;

	if (*turn != 0 && (int32_t)(s->turns - *turn) >= 0) {
		*turn = 0;
		return true;
	}
	if (*turn == 0) {
		*turn = s->turns + 1;
		if (*turn == 0)
			*turn = 1;
	}
	/* One nanosecond later: with the next run of the timers, not in this one. */
	timer_arm(&v->timers, t, v->now + 1, t->fire);
	reply_mark_ready(s);
	return false;
}
