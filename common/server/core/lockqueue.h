/*
 * lockqueue: the holders of a memory file's lock and the waiters, first come first served.
 *
 * One writer or any number of readers hold the lock; a reader never overtakes a waiting writer.
 * Each granted claim gets the next grant number of the file, so grants never repeat, and an
 * exclusive grant is above all grants before it. The queue does not depend on sessions; the time
 * decides through pollers.h only, and how long claims wait and are held is counted.
 *
 * A reader may become the writer without letting go: an upgrade. It needs that no other reader is
 * left, and waits for that in front of all waiters, of which none is granted meanwhile. Two
 * upgrades would wait for each other, so a file has one. The other way, a writer shares its lock.
 *
 * A claim is embedded in its descriptor and is idle, waiting or held. Dropping a claim grants the
 * next waiters: some at once, and of many readers the others in the next runs of the timers, so
 * that a peer whose claims end does not hold up the server for all that waited behind them. The
 * queue calls the granted function for each of them; that function must not call the queue.
 *
 * Sessions of version 1 do not wait: they poll, and have places in the order of the waiters
 * (pollers.h). While the lock is reserved for one of them, nobody else is granted, so waiters may
 * wait for a lock that has no holder; otherwise, the first waiter does not fit to the holders, or
 * its turn to be granted comes with the timer.
 */
#ifndef COMMON_SERVER_CORE_LOCKQUEUE_H
#define COMMON_SERVER_CORE_LOCKQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/server/core/pollers.h"
#include "common/wire/protocol.h"

enum claim_state { CLAIM_IDLE, CLAIM_WAITING, CLAIM_HELD };

struct claim {
	TAILQ_ENTRY(claim) link;
	enum claim_state state;
	enum protocol_mode mode;
	uint64_t arrival;      /* while waiting: its number in the order of waiters and pollers */
	uint64_t grant;        /* while held: its number */
	uint64_t since;        /* while held: since when, upgrades and sharing not counted */
	uint64_t shared_grant; /* after an upgrade: the number that it had before */
};

TAILQ_HEAD(claim_list, claim);

struct lockqueue {
	struct claim_list holders;
	struct claim_list waiters;
	struct claim *upgrade; /* of the holders the one that waits to be the only one, or NULL */
	struct pollers pollers;
	struct timer rest; /* armed while more waiters are to be granted */
	uint32_t waiting;  /* length of waiters, and 1 for an upgrade */
	uint64_t arrivals; /* the number of the last claim or poll */
	uint64_t grants;   /* the number of the last grant */
	uint64_t waited;   /* see lockqueue_waited() */
	void (*granted)(struct claim *);
};

/*
 * A free lock. granted is called for each claim that waited and now holds the lock. timers and
 * *now, in nanoseconds, outlive q.
 */
void lockqueue_init(struct lockqueue *q, struct timer_queue *timers, const uint64_t *now,
    void (*granted)(struct claim *));

/*
 * Claims the lock for c, which is idle. Returns the new state of c: CLAIM_HELD when it was granted
 * at once, else CLAIM_WAITING if wait, or CLAIM_IDLE.
 */
enum claim_state lockqueue_claim(struct lockqueue *q, struct claim *c, enum protocol_mode mode,
    bool wait);

/*
 * Claims the lock exclusively for c, which is idle, by a poll of owner. Returns CLAIM_HELD, or
 * CLAIM_IDLE when it was refused; owner may then have a place in the queue: with p, which belongs
 * to the descriptor of c, or with the p of another of its descriptors.
 */
enum claim_state lockqueue_poll(struct lockqueue *q, struct claim *c, struct poller *p,
    const void *owner);

/* Takes the place of p away, if it has one; the next waiters may be granted. */
void lockqueue_leave(struct lockqueue *q, struct poller *p);

/*
 * Claims the lock exclusively for c, which holds it shared and has no upgrade that waits. Returns 0
 * when it was granted, with a new grant, or when it waits, if wait: lockqueue_is_upgrading() tells.
 * -EAGAIN when others hold the lock, without wait; -EDEADLK when an upgrade waits already.
 */
int lockqueue_upgrade(struct lockqueue *q, struct claim *c, bool wait);

/* True when c holds the lock shared and waits for its upgrade. */
bool lockqueue_is_upgrading(const struct lockqueue *q, const struct claim *c);

/*
 * Takes the upgrade of c back, which waits, or was granted and nobody knows it: c holds the lock
 * shared under the grant that it had before. The next waiters may be granted.
 */
void lockqueue_take_back(struct lockqueue *q, struct claim *c);

/* Lets c, which holds the lock exclusively, share it, under the same grant. */
void lockqueue_share(struct lockqueue *q, struct claim *c);

/* Makes c idle, whatever its state, and grants the next waiters. */
void lockqueue_drop(struct lockqueue *q, struct claim *c);

/* The claim that holds the lock exclusively, or NULL. */
struct claim *lockqueue_exclusive_holder(const struct lockqueue *q);

/* The nanoseconds that claims have waited, all together, up to now. */
uint64_t lockqueue_waited(const struct lockqueue *q);

#endif
