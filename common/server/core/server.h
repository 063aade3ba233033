/*
 * server: the core of both daemons: sessions, memory files, locks. No I/O, no clock of its own.
 *
 * Whoever drives it (the event loop, a test, a fuzzer) feeds bytes into sessions (session.h), tells the
 * time, runs the timers, and sends what server_next_ready() says is there to be sent. One thread.
 */
#ifndef COMMON_SERVER_CORE_SERVER_H
#define COMMON_SERVER_CORE_SERVER_H

#include <stdint.h>

#include "common/server/core/server_config.h"

struct server;
struct session;
struct store_ops;

/*
 * An empty server with a fresh random instance id; store_context is what the store's start made, or NULL. Returns
 * 0, -ENOMEM or -EIO (no entropy).
 */
int server_create(struct server **out, const struct server_config *config,
    const struct store_ops *store, void *store_context);

/* Takes NULL. Every session must have been destroyed. */
void server_destroy(struct server *v);

/* It is now so many nanoseconds of the monotonic clock; never less than before. */
void server_set_time(struct server *v, uint64_t now);

/* When timers want to run, in nanoseconds; CLOCK_NEVER when none does. */
uint64_t server_next_deadline(struct server *v);

/* Runs the timers that are due. */
void server_run_timers(struct server *v);

/*
 * A session that has new output or is over, or NULL: each is told once, until it happens again. Call
 * until NULL after anything that was fed, sent, destroyed, or timed.
 */
struct session *server_next_ready(struct server *v);

/* Sessions, and memory files, that there are. */
uint32_t server_session_count(const struct server *v);
uint32_t server_file_count(const struct server *v);

/* Bytes of all segments: reserved is what they measure. */
uint64_t server_reserved(const struct server *v);

#endif
