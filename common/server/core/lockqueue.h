/*
 * lockqueue: the holders of a memory file's lock and the waiters, first come first served.
 *
 * One writer or any number of readers hold the lock; a reader never overtakes a waiting writer.
 * Each granted claim gets the next grant number of the file, so grants never repeat, and an
 * exclusive grant is above all grants before it. The queue does not depend on sessions or time.
 *
 * A claim is embedded in its descriptor and is idle, waiting or held. Dropping a claim grants the
 * next waiters. The queue calls the granted function for each of them; that function must not call
 * the queue.
 */
#ifndef COMMON_SERVER_CORE_LOCKQUEUE_H
#define COMMON_SERVER_CORE_LOCKQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/wire/protocol.h"

enum claim_state { CLAIM_IDLE, CLAIM_WAITING, CLAIM_HELD };

struct claim {
	TAILQ_ENTRY(claim) link;
	enum claim_state state;
	enum protocol_mode mode;
	uint64_t grant; /* while held: its number */
};

TAILQ_HEAD(claim_list, claim);

struct lockqueue {
	struct claim_list holders;
	struct claim_list waiters;
	uint32_t waiting; /* length of waiters */
	uint64_t grants;  /* the number of the last grant */
	void (*granted)(struct claim *);
};

/* A free lock. granted is called for each claim that waited and now holds the lock. */
void lockqueue_init(struct lockqueue *q, void (*granted)(struct claim *));

/*
 * Claims the lock for c, which is idle. Returns the new state of c: CLAIM_HELD when it was granted
 * at once, else CLAIM_WAITING if wait, or CLAIM_IDLE.
 */
enum claim_state lockqueue_claim(struct lockqueue *q, struct claim *c, enum protocol_mode mode,
    bool wait);

/* Makes c idle, whatever its state, and grants the next waiters. */
void lockqueue_drop(struct lockqueue *q, struct claim *c);

/* The claim that holds the lock exclusively, or NULL. */
struct claim *lockqueue_exclusive_holder(const struct lockqueue *q);

#endif
