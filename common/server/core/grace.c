#include "common/server/core/grace.h"

#include "common/server/core/core.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"

/* After so many more turns of s. */
static void
end_after(const struct session *s, uint32_t turns, uint32_t *turn)
{
	*turn = s->turns + turns;
	if (*turn == 0)
		*turn = 1;
}

bool
grace_is_over(struct session *s, struct timer *t, uint32_t *turn)
{
	struct server *v = s->server;

	if (publishing_is_active(s)) {
		/* Nothing is read meanwhile, and perhaps not in the turn that ends it. */
		end_after(s, 2, turn);
	} else if (*turn == 0) {
		end_after(s, 1, turn);
	} else if ((int32_t)(s->turns - *turn) >= 0) {
		*turn = 0;
		return true;
	}
	/* One nanosecond later: with the next run of the timers, not in this one. */
	timer_arm(&v->timers, t, v->now + 1, t->fire);
	reply_mark_ready(s);
	return false;
}
