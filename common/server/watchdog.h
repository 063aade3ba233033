/*
 * watchdog: tells systemd that the loop turns: WATCHDOG=1 of sd_notify(3), twice in the time that
 * WATCHDOG_USEC gives.
 *
 * A timer of the loop sends it. A daemon whose loop hangs sends nothing, and systemd ends it and
 * starts it again. A message that systemd has no room for is left out: the loop never waits for
 * the one who watches it. The host sets the time; it can end the daemon in any case.
 */
#ifndef COMMON_SERVER_WATCHDOG_H
#define COMMON_SERVER_WATCHDOG_H

#include "common/base/timer.h"

struct watchdog {
	struct timer_queue *timers;
	struct timer timer; /* not armed where nobody watches */
	uint64_t half_ns;   /* of the time within which a message has to come */
};

/* Sends nothing yet. timers outlive w. */
void watchdog_init(struct watchdog *w, struct timer_queue *timers);

/* Sends a message with the next timers that run, and goes on, if systemd watches this process. */
void watchdog_start(struct watchdog *w);

/* Sends nothing more. */
void watchdog_fini(struct watchdog *w);

#endif
