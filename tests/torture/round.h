/*
 * round: what a round of torture is, all of it drawn from the round's seed: the kind of memory
 * files, the trouble beside kills and stops, the players, the segments, the options of the mount.
 *
 * A run with the seed S has the rounds S, S + 1, S + 2, and so on. So a run with the seed of a
 * round begins with that round.
 */
#ifndef TESTS_TORTURE_ROUND_H
#define TESTS_TORTURE_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROUND_PLAYERS_MOST = 5,
	ROUND_THREADS_MOST = 4,
	ROUND_FILES_MOST = 3,
	ROUND_TEXT_SIZE = 160
};

enum round_kind { ROUND_SMDISH, ROUND_SMUF, ROUND_SMC, ROUND_KINDS };

/* What happens beside processes that fork, stop, continue and are killed. */
enum round_trouble {
	ROUND_CALM,      /* nothing; of a server: it is stopped, and continues */
	ROUND_RESTARTS,  /* the server is stopped, ended and killed, and starts again */
	ROUND_LIES,      /* the host changes the files (smuf: each change is found) */
	ROUND_FULL_DISK, /* the disk of the files is full at times */
	ROUND_BARE,      /* smc without kernel locks, and so without kills */
	ROUND_LEASES,    /* the server takes a lock away that is held for long (smdish) */
	ROUND_LIMITS     /* processes may open few files, or write small ones only */
};

struct round {
	uint64_t seed;
	enum round_kind kind;
	enum round_trouble trouble;
	bool has_tls, has_tcp; /* TCP: with TLS only */
	unsigned players;      /* processes that are replaced when they end */
	unsigned threads;      /* of each */
	unsigned files;
	uint32_t sizes[ROUND_FILES_MOST]; /* of the segments */
	const char *track, *sync;         /* options of the mount */
	unsigned lease_ms;                /* of the server; 0: none */
	unsigned deeds;                   /* of the adversary; then the round is over */
	unsigned gap;  /* steps of all threads from one deed to the next, at most */
	unsigned life; /* steps of a player's first thread until its end, at most */
};

void round_draw(struct round *r, uint64_t seed);

/* "smdish", "smuf" or "smc". */
const char *round_kind_name(enum round_kind kind);

/* Writes the round as a line without a newline. Returns text. */
const char *round_describe(const struct round *r, char text[ROUND_TEXT_SIZE]);

/*
 * True where a lie may do anything short of a crash: smc trusts the host. Only the bounds of
 * calls are checked then.
 */
bool round_is_blind(const struct round *r);

/* True where processes may be killed, and close their descriptors. */
bool round_has_kills(const struct round *r);

#endif
