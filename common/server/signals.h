/*
 * signals: SIGHUP, SIGINT and SIGTERM as events of the loop.
 *
 * The handler sets a flag and wakes the loop through an eventfd(2). It is one mechanism for all
 * systems: library OSes have no signalfd(2).
 *
 * The daemon blocks the signals before it does anything else: a signal that comes while it starts
 * takes effect once it serves, and no file stays behind. The owner of the loop checks the flags
 * after each event. There is one of these in a process.
 */
#ifndef COMMON_SERVER_SIGNALS_H
#define COMMON_SERVER_SIGNALS_H

#include <stdbool.h>

#include "common/server/loop.h"

struct signals {
	struct watch watch;
	bool stop;   /* set by SIGINT and SIGTERM */
	bool reload; /* set by SIGHUP; the owner clears it */
};

#define SIGNALS_CLOSED ((struct signals){ .watch.fd = -1 })

/* Blocks the signals. */
void signals_block(void);

/* Watches for them, and unblocks them. Returns 0 or a negative errno. */
int signals_open(struct signals *s, struct loop *loop);

/* Blocks them again. Also for SIGNALS_CLOSED. */
void signals_close(struct signals *s);

#endif
