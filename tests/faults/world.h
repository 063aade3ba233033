/*
 * world: a daemon, the connections to it, and what they know together (model.h).
 *
 * Besides the peers, which do what a case says, there are two anchors: from the begin to the end
 * they keep the first MODEL_ANCHORED files open, so that these have one life in a case. They send
 * nothing in between, so that no fault meets them.
 *
 * world_begin() starts the daemon, and arms its faults once the anchors are ready; world_end()
 * disarms them, demands that every lock can be had, that contents are what was published, and that
 * nothing is left, and stops the daemon. All that is found to be wrong is in the verdict.
 */
#ifndef TESTS_FAULTS_WORLD_H
#define TESTS_FAULTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/faults/model.h"
#include "tests/faults/peer.h"
#include "tests/faults/subject.h"
#include "tests/faults/verdict.h"

enum {
	WORLD_PEERS = 4,  /* that a case drives */
	WORLD_ANCHOR = 4, /* version 2 */
	WORLD_ANCHOR_V1 = 5,
	WORLD_CHECKER = 6, /* connects when all others have gone */
	WORLD_ALL = 7,
	WORLD_FORKS = 16,
	WORLD_NO_STATUS = -1
};

/* What a FORK was answered. */
struct world_fork {
	uint64_t ident;
	uint32_t version; /* of the parent */
	bool is_used;
	int files[PEER_DESCS];
};

struct world {
	struct subject *subject;
	struct verdict v;
	struct model model;
	struct peer peers[WORLD_ALL];
	struct world_fork forks[WORLD_FORKS];
	unsigned fork_count;
	bool has_unknown_forks;    /* forks is not all that may be pending */
	unsigned ended;            /* connections that the daemon ended without a reason */
	unsigned last_watch;       /* number of the last request */
	int64_t watched;           /* its status, or WORLD_NO_STATUS */
	struct protocol_stat stat; /* of the last reply to STAT */
	uint64_t random;           /* state of world_random() */
	uint64_t passed_ms;        /* of the daemon's clock, since holdings were dropped for it */
};

void world_begin(struct world *w, struct subject *s, bool arms_faults);
void world_end(struct world *w);

/* Connects a peer. Does nothing but close it if the daemon refuses. */
void world_connect(struct world *w, struct peer *p);

/* Sends and reads what can be; waits ms milliseconds at most for something to come. */
void world_pump(struct world *w, int ms);

/*
 * Pumps until every request of peers that read is answered, those that wait for a lock excepted,
 * and no holding is disputed.
 */
void world_settle(struct world *w);

/* Pumps until no holding is disputed. */
void world_settle_disputes(struct world *w);

/* Waits until the daemon has seen everything that happened before. */
void world_sync(struct world *w);

/* Moves the daemon's clock, and waits until its timers have run. */
void world_pass_time(struct world *w, uint32_t ms);

/* A peer's connection is closed by itself. */
void world_hang_up(struct world *w, struct peer *p);

/* The next of a sequence of random numbers that is the same in every case. */
uint64_t world_random(struct world *w);

/* True when the file belongs to sessions of version 1 only. */
bool world_is_v1_file(const struct world *w, int file);

/* The u32 at that offset of a file's lock file on the host (smuf); add is added to it. */
uint32_t world_host_word(const struct world *w, int file, int offset, uint32_t add);

#endif
