/*
 * observer: looks at a server again and again, over one connection while that lasts, and compares
 * its last two looks.
 *
 * When a look fails, the observer has nothing to show but why; the next one connects again. Rates
 * come from counters that the server may have set as it likes: one that falls is taken as one that
 * stands still.
 */
#ifndef DEPLOY_SMSTAT_OBSERVER_H
#define DEPLOY_SMSTAT_OBSERVER_H

#include "deploy/smstat/servers.h"
#include "deploy/smstat/snapshot.h"

enum { OBSERVER_FAILURE_SIZE = 512 };

struct observer {
	const struct servers_one *server;
	struct mux *mux;                     /* NULL: not connected */
	struct snapshot *now;                /* NULL: the last look has failed */
	struct snapshot *before;             /* of the look before that; NULL: there was none */
	char failure[OBSERVER_FAILURE_SIZE]; /* why, a sentence; "" after a look that succeeded */
};

/* What happened to a file between two looks, in a second. */
struct observer_rates {
	double sections; /* critical sections that began */
	double granted;  /* bytes in grants */
	double released; /* bytes in releases */
};

/* One that has not looked yet. The server must outlive it. */
void observer_init(struct observer *o, const struct servers_one *server);

void observer_fini(struct observer *o);

/* Looks at the server, within its silence. Returns 0 or a negative errno, with the failure set. */
int observer_look(struct observer *o);

/*
 * Makes the server load its files again, within its silence, and writes what came of it as one
 * sentence to told; *is_done: nothing failed. Returns 0 or a negative errno, with the failure set.
 */
int observer_reload(struct observer *o, char told[OBSERVER_FAILURE_SIZE], bool *is_done);

/* The seconds between the last two looks; 0: there are no two. */
double observer_seconds(const struct observer *o);

/* The rates of a file of the last look. All 0 when there are no two looks. */
struct observer_rates observer_rates(const struct observer *o, const struct inspect_file *f);

#endif
