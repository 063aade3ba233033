/*
 * signals: SIGHUP, SIGUSR1, SIGINT and SIGTERM as events of the loop.
 *
 * The handler sets a flag and wakes the loop through an eventfd(2). It is one mechanism for all
 * systems: library OSes have no signalfd(2). There a thread of the library OS may take a signal,
 * which the daemon then gets with its next system call: the loop wakes at signals_deadline().
 *
 * The daemon blocks the signals before it does anything else: a signal that comes while it starts
 * takes effect once it serves, and no file stays behind. The owner of the loop checks the flags
 * after each event. There is one of these in a process.
 */
#ifndef COMMON_SERVER_SIGNALS_H
#define COMMON_SERVER_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/server/loop.h"

struct signals {
	struct watch watch;
	bool stop;   /* set by SIGINT and SIGTERM */
	bool reload; /* set by SIGHUP; the owner clears it */
	bool reopen; /* set by SIGUSR1; the owner clears it */
};

#define SIGNALS_CLOSED ((struct signals){ .watch.fd = -1 })

/* Blocks the signals. */
void signals_block(void);

/* Watches for them, and unblocks them. Returns 0 or a negative errno. */
int signals_open(struct signals *s, struct loop *loop);

/*
 * When the loop has to wake to see signals, at the latest; now is nanoseconds of the monotonic
 * clock. CLOCK_NEVER where they wake it.
 */
uint64_t signals_deadline(uint64_t now);

/* Blocks them again. Also for SIGNALS_CLOSED. */
void signals_close(struct signals *s);

#endif
