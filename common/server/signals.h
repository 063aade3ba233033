/*
 * signals: SIGHUP, SIGINT and SIGTERM as events of the loop (signalfd(2)).
 *
 * The daemon blocks them before it does anything else: a signal that comes while it starts takes
 * effect once it serves, and no file stays behind. The owner of the loop checks the flags after
 * each event.
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

/* Watches for them. Returns 0 or a negative errno. */
int signals_open(struct signals *s, struct loop *loop);

/* Also for SIGNALS_CLOSED. */
void signals_close(struct signals *s);

#endif
