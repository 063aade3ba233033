/*
 * pollers: the places that sessions of version 1, which poll for a lock, keep in its queue, and the
 * reservations that keep the lock for them (PROTOCOL 4.4).
 *
 * A poller waits nowhere: its LOCK is refused, and it asks again later. So it meets a lock that
 * others wait for only if the lock is kept free for it. A poller that is refused, and whose
 * interval is known from earlier polls, gets a place behind all that wait. At its turn, and shortly
 * before its next poll is due, the lock is reserved, until half an interval after: those that wait
 * go on waiting. A poller that does not come in that time, or stops before, loses its place. Until
 * the lock is reserved, it goes to those behind the poller. A session that asks once, and not
 * again, costs nothing.
 *
 * Reservations cost the others at most PROTOCOL_RESERVED_PERCENT_MOST of the time: they are paid
 * for with a credit of the lock, which grows with that share of the time up to
 * PROTOCOL_RESERVATION_MS. The first poller in the queue has all of it, so a fast poller does not
 * use up what a slow one needs. The more credit there is, the earlier a reservation begins, which
 * helps a poller without a steady interval. The interval is the longer one of the last two, so that
 * short and long ones may alternate.
 *
 * A peer that lies with its polls spends this credit: it delays other pollers of the file, and the
 * rest by the share above. A poller is a session: it has one place, through one of its descriptors.
 */
#ifndef COMMON_SERVER_CORE_POLLERS_H
#define COMMON_SERVER_CORE_POLLERS_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"

/* Of a descriptor. All zeros: no place, and nothing is known of its polls. */
struct poller {
	TAILQ_ENTRY(poller) link;
	bool has_place;
	const void *owner; /* with a place: the session */
	uint64_t arrival;  /* with a place: its number in the order of the queue */
	uint64_t last;     /* its last refused poll since the last grant, nanoseconds; 0: none */
	uint64_t latest;   /* the time between its last two polls, nanoseconds; 0: not known */
	uint64_t interval; /* the longer one of the last two such times; with a place: not 0 */
};

TAILQ_HEAD(poller_list, poller);

/* Of a lock. */
struct pollers {
	struct poller_list list; /* pollers with a place, in the order of arrival */
	bool is_reserved;        /* for the first in the list */
	bool has_come;           /* while reserved: it polled, but readers still hold the lock */
	uint64_t begun;          /* while reserved: since when */
	struct timer timer;      /* while reserved: the end */
	int64_t credit;          /* what may be reserved, nanoseconds; below 0: it ended late */
	uint64_t credited;       /* when the credit grew last */
	struct timer_queue *timers;
	const uint64_t *now;
	void (*ended)(struct pollers *);
};

/*
 * No pollers, and full credit. ended is called when a reservation has ended because its time was
 * over: the lock may go to others. timers and *now outlive ps.
 */
void pollers_init(struct pollers *ps, struct timer_queue *timers, const uint64_t *now,
    void (*ended)(struct pollers *));

/* The poller that has the place of owner: p, another one of that owner, or NULL. */
struct poller *pollers_find(const struct pollers *ps, struct poller *p, const void *owner);

/* True while the lock is reserved for p, which may be NULL. */
bool pollers_is_reserved_for(const struct pollers *ps, const struct poller *p);

/*
 * A poll of p was refused: p keeps its place, or gets one with that number of the queue's order if
 * its interval is known. A reservation for p goes on.
 */
void pollers_refused(struct pollers *ps, struct poller *p, const void *owner, uint64_t arrival);

/* A poll of p was granted: it gives its place back, and a reservation, whose ever, ends. */
void pollers_granted(struct pollers *ps, struct poller *p);

/*
 * True when the lock is reserved, or is from now on, because the turn of a poller has come before
 * that of a claim with that number.
 */
bool pollers_reserve(struct pollers *ps, uint64_t arrival);

/* Takes the place of p away. True when a reservation has ended with it. */
bool pollers_leave(struct pollers *ps, struct poller *p);

#endif
