/*
 * asks: the requests of a peer, true and false ones. Each records what it may end or publish.
 *
 * They do nothing when the peer cannot send (peer_can_ask()). w->watched is the status of the last
 * request, once it is answered.
 */
#ifndef TESTS_FAULTS_ASKS_H
#define TESTS_FAULTS_ASKS_H

#include <stdint.h>

struct peer;
struct world;

/* How a RELEASE is wrong, or what it publishes. */
enum asks_release {
	RELEASE_SMALL,       /* one piece */
	RELEASE_SEVERAL,     /* three pieces */
	RELEASE_ALL,         /* all of the segment */
	RELEASE_KEEP,        /* three pieces; the lock stays, shared */
	RELEASE_NOTHING,     /* a delta without pieces */
	RELEASE_ONE_WAY,     /* three pieces, no reply */
	RELEASE_UNVERIFIED,  /* a delta without pieces, and the flag */
	RELEASE_BEYOND,      /* the last piece lies beyond the segment */
	RELEASE_TWICE,       /* the second piece is the first */
	RELEASE_SHORT,       /* the delta ends in its last piece */
	RELEASE_FLAGS,       /* unknown flags */
	RELEASE_STALE,       /* another grant */
	RELEASE_STALE_LARGE, /* the same, with a body that the server does not keep */
	RELEASE_KINDS
};

enum asks_unlock {
	UNLOCK_TRUE,
	UNLOCK_TYPE,  /* a type that does not fit */
	UNLOCK_SIZE,  /* another size than the segment's */
	UNLOCK_SHAPE, /* fields of wrong lengths */
	UNLOCK_KINDS
};

enum asks_lock {
	LOCK_TRUE,
	LOCK_TYPE,   /* a type that does not fit */
	LOCK_TURN,   /* smuf: the next turn */
	LOCK_TICKET, /* smuf: as LOCK_TRUE, and two tickets more are out */
	LOCK_KINDS
};

void asks_hello(struct world *w, struct peer *p, uint32_t version);
void asks_table(struct world *w, struct peer *p);
void asks_fork(struct world *w, struct peer *p);

/* file: MODEL_FILES and above are names that are not allowed. */
void asks_open(struct world *w, struct peer *p, int file);
void asks_close(struct world *w, struct peer *p, uint32_t fd);
void asks_map(struct world *w, struct peer *p, uint32_t fd, uint32_t size);
void asks_acquire(struct world *w, struct peer *p, uint32_t fd, uint8_t mode, uint32_t timeout);
void asks_release(struct world *w, struct peer *p, uint32_t fd, enum asks_release kind);
void asks_lock(struct world *w, struct peer *p, uint32_t fd, enum asks_lock kind);
void asks_lock_turn(struct world *w, struct peer *p, uint32_t fd, uint32_t turn, uint8_t type);
void asks_unlock(struct world *w, struct peer *p, uint32_t fd, enum asks_unlock kind);

/* Cancels the oldest ACQUIRE that is unanswered; without one it is a ping. */
void asks_cancel(struct world *w, struct peer *p);

/* Is answered once everything before it was executed. Its status is not watched. */
void asks_ping(struct peer *p);
void asks_stat(struct world *w, struct peer *p, uint32_t fd);

/* Attaches to the fork of that number, or with an ident that nobody has. */
void asks_attach(struct world *w, struct peer *p, unsigned fork);

/* An operation, known or not, with a body of three bytes, which none has. */
void asks_odd(struct world *w, struct peer *p, uint32_t op);

/* Sends bytes that are no frame of the protocol. */
void asks_garbage(struct world *w, struct peer *p, unsigned kind);

#endif
