/*
 * server: the core of both daemons: sessions, memory files, locks. No I/O, no clock of its own, one
 * thread.
 *
 * The driver (the event loop, a test, a fuzzer) sets the time, runs the timers, feeds bytes into
 * sessions (session.h), and sends the output of the sessions that server_next_ready() returns.
 */
#ifndef COMMON_SERVER_CORE_SERVER_H
#define COMMON_SERVER_CORE_SERVER_H

#include <stdint.h>

#include "common/server/core/server_config.h"

struct accounts;
struct budget;
struct inspect_reload;
struct schedule;
struct server;
struct session;
struct store_ops;

/*
 * A server with no sessions and no files, and a fresh random instance id. store_context is the
 * result of the store's start, or NULL; both outlive the server. Returns 0, -ENOMEM or -EIO (no
 * entropy).
 */
int server_create(struct server **out, const struct server_config *config,
    const struct store_ops *store, void *store_context);

/*
 * The driver's function that an operator's reload calls (PROTOCOL 5.6), with the operator's name
 * for the log. It fills *out, whose string stays valid until its next call. It may destroy no
 * session. Without one, as at first, there is no such request.
 */
void server_set_reload(struct server *v,
    void (*reload)(void *arg, const char *peer, struct inspect_reload *out), void *arg);

/* Every session must have been destroyed. Runs the tasks that are left. Takes NULL. */
void server_destroy(struct server *v);

/* Sets the time, nanoseconds of the monotonic clock; it never goes back. */
void server_set_time(struct server *v, uint64_t now);

/*
 * A turn took ns nanoseconds: of the session for which the driver has called session_turn_ended()
 * in it, or of other work. The verbose log tells of a turn of more than 5 ms that is longer than
 * all before it.
 */
void server_turn_took(struct server *v, uint64_t ns);

/* The deadline of the next timer, in nanoseconds; CLOCK_NEVER without one. */
uint64_t server_next_deadline(struct server *v);

/* Runs the timers that are due, as long as b lasts; at least one. */
void server_run_timers(struct server *v, const struct budget *b);

/*
 * Returns a session that needs a turn: it has output or work, is over, or a timer of it waits for
 * the end of its turn; or NULL. Each is returned once, until it needs another one. The driver calls
 * this until it returns NULL whenever it has fed, sent, destroyed, or run timers or tasks.
 */
struct session *server_next_ready(struct server *v);

/*
 * The schedule of the server's own tasks: the ends of files, what a session that has ended was
 * publishing. The driver runs them, and may add tasks of its own.
 */
struct schedule *server_schedule(struct server *v);

/* The accounts of the server's peers. */
struct accounts *server_accounts(struct server *v);

/* How many sessions and memory files there are. */
uint32_t server_session_count(const struct server *v);
uint32_t server_file_count(const struct server *v);

/* The sizes of all segments together, bytes. */
uint64_t server_reserved(const struct server *v);

#endif
