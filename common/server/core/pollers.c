#include "common/server/core/pollers.h"

#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/wire/protocol.h"

#define LONGEST (PROTOCOL_RESERVATION_MS * CLOCK_MS)
#define SHORTEST CLOCK_MS /* less than this is lost to the scheduling of the client */
#define GONE LONGEST      /* so long after the next poll was due, the client polls no more */

/*
 * A reservation begins a fourth of the interval, or an eighth of the credit if that is more, before
 * the poll is due, and ends half an interval after that.
 */
enum { EARLY_INTERVAL = 4, EARLY_CREDIT = 8, LATE_INTERVAL = 2 };

void
pollers_init(struct pollers *ps, struct timer_queue *timers, const uint64_t *now,
    void (*ended)(struct pollers *))
{
	*ps = (struct pollers){ .credit = LONGEST,
		.credited = *now,
		.timers = timers,
		.now = now,
		.ended = ended };
	TAILQ_INIT(&ps->list);
}

static uint64_t
clamp(uint64_t time)
{
	return time < SHORTEST ? SHORTEST : time < LONGEST ? time : LONGEST;
}

static void
remove_place(struct pollers *ps, struct poller *p)
{
	TAILQ_REMOVE(&ps->list, p, link);
	p->has_place = false;
}

/* The credit. */

static void
grow_credit(struct pollers *ps)
{
	uint64_t now = *ps->now;

	ps->credit += (int64_t)((now - ps->credited) / 100 * PROTOCOL_RESERVED_PERCENT_MOST);
	if (ps->credit > (int64_t)LONGEST)
		ps->credit = LONGEST;
	ps->credited = now - (now - ps->credited) % 100;
}

/* Reservations. */

static void
end_reservation(struct pollers *ps)
{
	if (!ps->is_reserved)
		return;
	ps->is_reserved = false;
	timer_disarm(ps->timers, &ps->timer);
	grow_credit(ps);
	ps->credit -= (int64_t)(*ps->now - ps->begun);
}

static void
reservation_expired(struct timer *t)
{
	struct pollers *ps = container_of(t, struct pollers, timer);
	struct poller *p = TAILQ_FIRST(&ps->list);

	end_reservation(ps);
	/* A poller that came meanwhile, and found readers that still hold the lock, stays. */
	if (!ps->has_come)
		remove_place(ps, p);
	ps->ended(ps);
}

/* Reserves the lock, from ps->begun on, for the next poll of p. */
static void
set_end(struct pollers *ps, const struct poller *p)
{
	uint64_t due = p->last + p->interval, now = *ps->now;
	uint64_t end = (due > now ? due : now) + clamp(p->interval / LATE_INTERVAL);
	uint64_t latest = ps->begun + (uint64_t)ps->credit;

	timer_arm(ps->timers, &ps->timer, end < latest ? end : latest, reservation_expired);
}

/* True when the next poll of p is near, and the credit is at least half an interval. */
static bool
is_due(const struct pollers *ps, const struct poller *p)
{
	int64_t interval = (int64_t)p->interval, early = interval / EARLY_INTERVAL;

	if (early < ps->credit / EARLY_CREDIT)
		early = ps->credit / EARLY_CREDIT;
	return (int64_t)(*ps->now - p->last) >= interval - early &&
	    ps->credit >= (int64_t)clamp(p->interval) / 2;
}

/* The first poller that still polls, or NULL. The others before it lose their places. */
static struct poller *
first_alive(struct pollers *ps)
{
	struct poller *p;

	while ((p = TAILQ_FIRST(&ps->list)) != NULL && *ps->now - p->last > p->interval + GONE)
		remove_place(ps, p);
	return p;
}

bool
pollers_reserve(struct pollers *ps, uint64_t arrival)
{
	struct poller *p;

	if (TAILQ_EMPTY(&ps->list) || ps->is_reserved)
		return ps->is_reserved;
	p = first_alive(ps);
	if (p == NULL || p->arrival > arrival)
		return false;
	grow_credit(ps);
	if (!is_due(ps, p))
		return false;
	ps->is_reserved = true;
	ps->has_come = false;
	ps->begun = *ps->now;
	set_end(ps, p);
	return true;
}

/* Polls. */

struct poller *
pollers_find(const struct pollers *ps, struct poller *p, const void *owner)
{
	struct poller *other;

	if (p->has_place)
		return p;
	TAILQ_FOREACH(other, &ps->list, link)
		if (other->owner == owner)
			return other;
	return NULL;
}

bool
pollers_is_reserved_for(const struct pollers *ps, const struct poller *p)
{
	return ps->is_reserved && TAILQ_FIRST(&ps->list) == p;
}

static void
note_poll(struct poller *p, uint64_t now)
{
	uint64_t since = now - p->last;

	if (p->last != 0 && since <= PROTOCOL_POLL_INTERVAL_MS * CLOCK_MS) {
		since = since != 0 ? since : 1;
		p->interval = since > p->latest ? since : p->latest;
		p->latest = since;
	} else if (p->last != 0 && !p->has_place) {
		p->interval = p->latest = 0;
	}
	p->last = now;
}

void
pollers_refused(struct pollers *ps, struct poller *p, const void *owner, uint64_t arrival)
{
	note_poll(p, *ps->now);
	if (pollers_is_reserved_for(ps, p)) {
		ps->has_come = true;
		set_end(ps, p);
	}
	if (p->has_place || p->interval == 0)
		return;
	p->has_place = true;
	p->owner = owner;
	p->arrival = arrival;
	TAILQ_INSERT_TAIL(&ps->list, p, link);
}

void
pollers_granted(struct pollers *ps, struct poller *p)
{
	end_reservation(ps);
	note_poll(p, *ps->now);
	p->last = 0;
	if (p->has_place)
		remove_place(ps, p);
}

bool
pollers_leave(struct pollers *ps, struct poller *p)
{
	bool was_reserved = pollers_is_reserved_for(ps, p);

	if (was_reserved)
		end_reservation(ps);
	if (p->has_place)
		remove_place(ps, p);
	return was_reserved;
}
