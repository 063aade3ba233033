#include "common/remote/mux_core.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* The one whose limit tells of silence, or NULL. */
static const struct mux_orphan *
oldest(const struct mux *m)
{
	return TAILQ_FIRST(&m->orphans);
}

/*
 * Adds a CANCEL of nothing, to be sent, and to be answered until that time. Returns NULL when there
 * is no memory, or the server has left too many without an answer.
 */
static struct mux_orphan *
add(struct mux *m, uint64_t until)
{
	struct mux_orphan *o;

	if (m->orphan_count == ORPHANS_MOST)
		return NULL;
	o = calloc(1, sizeof *o);
	if (o == NULL)
		return NULL;
	m->orphan_count++;
	o->tag = mux_output_draw_tag(m);
	o->call = NO_TAG;
	o->limit = (struct mux_limit){ until, m->moved, false };
	TAILQ_INSERT_TAIL(&m->orphans, o, link);
	return o;
}

/*
 * True when the server is silent: the oldest orphan is overdue, and the socket is empty. After this
 * process was stopped the answer may be waiting there.
 */
static bool
is_overdue(const struct mux *m)
{
	const struct mux_orphan *o = oldest(m);

	return o != NULL && clock_now() >= mux_core_limit(m, o->limit) && !mux_core_is_readable(m);
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Its limit is the end of the silence, unless this process was stopped meanwhile. */
static void
ping(struct mux *m, uint64_t heard, uint64_t now)
{
	uint64_t third = m->silence / 3, end = heard + m->silence;

	if (add(m, end > now + third ? end : now + third) == NULL)
		(void)mux_core_end(m, -ENOMEM);
	else
		mux_output_send_orphans(m);
}

uint64_t
mux_cancel_check(struct mux *m, uint64_t begun)
{
	uint64_t heard = m->heard > begun ? m->heard : begun;
	uint64_t third = m->silence / 3, now = clock_now(), limit;

	/* Another thread may have ended it while this one slept. */
	if (m->has_ended)
		return now;
	if (is_overdue(m))
		(void)mux_core_end(m, -ETIMEDOUT);
	else if (oldest(m) == NULL && now >= heard + third)
		ping(m, heard, now);
	else
		mux_output_send_orphans(m);
	if (oldest(m) == NULL)
		return heard + third;
	limit = mux_core_limit(m, oldest(m)->limit);
	return limit <= now ? clock_after_ms(now, RECHECK_MS) : sooner(limit, now + third);
}

/* Leaves c, which is not answered, to an orphan, with that status. */
static void
abandon(struct mux *m, struct mux_call *c, struct mux_orphan *o, int status)
{
	o->call = c->tag;
	o->most = c->reply_most;
	o->is_awaited = m->incoming != c;
	if (m->incoming == c) {
		m->discarding = m->incoming_size - m->incoming_have;
		m->incoming = NULL;
	}
	TAILQ_REMOVE(&m->calls, c, link);
	c->is_done = true;
	c->status = status;
	if (c->is_waiting)
		wakeup_wake(&c->woken);
}

/*
 * With the mutex: c is done, with that status. Returns false when it was done before, or the
 * connection has ended.
 */
static bool
give_up(struct mux *m, struct mux_call *c, bool is_cancelled, int status)
{
	struct mux_orphan *o;

	if (c->is_done || m->has_ended)
		return false;
	/* Without tags the late reply would be taken for that to the next request. */
	o = !m->has_tags || is_overdue(m) ? NULL : add(m, clock_now() + m->silence);
	if (o == NULL) {
		(void)mux_core_end(m, -ETIMEDOUT);
		return false;
	}
	o->is_sent = o->is_answered = !is_cancelled;
	abandon(m, c, o, status);
	/* Half of the reply may have come, and the call be one that is not cancelled. */
	mux_orphan_settle(m, o);
	mux_output_send_orphans(m);
	mux_input_wake_driver(m);
	return true;
}

/* With the mutex: sends the CANCEL of an upgrade, unless it was sent. */
static void
cancel_upgrade(struct mux *m, struct mux_call *c)
{
	struct mux_orphan *o = NULL;
	bool is_silent;

	if (c->is_done || m->has_ended)
		return;
	is_silent = is_overdue(m);
	if (c->is_cancelled && !is_silent)
		return;
	if (!is_silent)
		o = add(m, clock_now() + m->silence);
	if (o == NULL) {
		(void)mux_core_end(m, -ETIMEDOUT);
		return;
	}
	c->is_cancelled = true;
	o->call = c->tag;
	mux_output_send_orphans(m);
}

bool
mux_cancel(struct mux *m, struct mux_call *c)
{
	bool has_given_up;

	mux_core_lock(m);
	has_given_up = give_up(m, c, true, -ETIMEDOUT);
	mux_core_unlock(m);
	return has_given_up;
}

bool
mux_take_back(struct mux *m, struct mux_call *c)
{
	bool is_awaited;

	mux_core_lock(m);
	cancel_upgrade(m, c);
	is_awaited = !c->is_done && !m->has_ended;
	mux_core_unlock(m);
	return is_awaited;
}

bool
mux_leave(struct mux *m, struct mux_call *c)
{
	bool has_given_up;

	mux_core_lock(m);
	has_given_up = give_up(m, c, false, -ETIMEDOUT);
	mux_core_unlock(m);
	return has_given_up;
}

/* The wait for a lock of that owner, or NULL. */
static struct mux_call *
find_wait(struct mux *m, const void *owner)
{
	struct mux_call *c;

	TAILQ_FOREACH(c, &m->calls, link)
		if (c->owner == owner)
			return c;
	return NULL;
}

void
mux_interrupt(struct mux *m, const void *owner)
{
	struct mux_call *c;

	mux_core_lock(m);
	c = find_wait(m, owner);
	if (c != NULL && c->is_upgrade)
		cancel_upgrade(m, c);
	else if (c != NULL)
		(void)give_up(m, c, true, -ECANCELED);
	mux_core_unlock(m);
}
