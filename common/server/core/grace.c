#include "common/server/core/grace.h"

#include "common/server/core/core.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"

/* True while s publishes for a request that it began to execute by the turn asked for. */
static bool
is_kept_from_reading(const struct session *s, const struct grace *g)
{
	return publishing_is_active(s) && (int32_t)(s->publishing.begun - g->due) <= 0;
}

bool
grace_is_over(struct session *s, struct timer *t, struct grace *g)
{
	struct server *v = s->server;

	if (!g->is_due)
		*g = (struct grace){ .is_due = true, .due = s->turns, .end = s->turns + 1 };
	/* Nothing is read meanwhile, and perhaps not in the turn that ends it. */
	if (is_kept_from_reading(s, g))
		g->end = s->turns + 2;
	if ((int32_t)(s->turns - g->end) >= 0) {
		g->is_due = false;
		return true;
	}
	/* One nanosecond later: with the next run of the timers, not in this one. */
	timer_arm(&v->timers, t, v->now + 1, t->fire);
	s->must_look = true;
	reply_mark_ready(s);
	return false;
}
