/*
 * lockqueue: who holds a memory file's lock and who waits for it, first come first served.
 *
 * One writer or any number of readers hold it; a reader never overtakes a waiting writer. Every
 * claim that is granted gets the next grant number of the file, so grants never repeat and an
 * exclusive grant is above every grant before it. The queue knows nothing of sessions or time.
 *
 * A claim is part of its owner (a descriptor) and is either idle, waiting or held. Dropping one
 * grants whoever is next; the owner is told through the function given to lockqueue_init(), which
 * must not call back into the queue.
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
	uint64_t grant; /* of the claim when it is held */
};

TAILQ_HEAD(claim_list, claim);

struct lockqueue {
	struct claim_list holders;
	struct claim_list waiters;
	uint32_t waiting; /* length of waiters */
	uint64_t grants;  /* given so far; the number of the last one */
	void (*granted)(struct claim *);
};

/* Free, nobody waits. granted is called for a claim that waited and now holds. */
void lockqueue_init(struct lockqueue *q, void (*granted)(struct claim *));

/*
 * An idle claim asks for the lock. The result is its new state: CLAIM_HELD when it was granted at
 * once, else CLAIM_WAITING, or CLAIM_IDLE when it does not want to wait.
 */
enum claim_state lockqueue_claim(struct lockqueue *q, struct claim *c, enum protocol_mode mode,
    bool wait);

/* The claim becomes idle, whatever it was, and whoever is next is granted. */
void lockqueue_drop(struct lockqueue *q, struct claim *c);

/* The claim that holds the lock exclusively, or NULL. */
struct claim *lockqueue_exclusive_holder(const struct lockqueue *q);

#endif
