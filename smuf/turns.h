/*
 * turns: the lock of version 1, a ticket lock in the host's file, of which the server keeps the
 * truth (smuf/FORMAT 5).
 *
 * Clients take tickets in the file and wait there for their turn; then they send LOCK, and the
 * server grants each turn once. The server's own turn number counts, not the file's. A lying host
 * can make clients wait, and nothing else.
 *
 * A turn ends with an UNLOCK (the client then advances the file), with its holder, or with a LOCK
 * that was refused although its turn is being served (the server then advances the file). The
 * server checks the file now and then: when its turn has differed from the truth for
 * PROTOCOL_TURN_DRIFT_MS with the lock free, the server stores the truth there; when no client has
 * claimed a turn for PROTOCOL_TURN_UNCLAIMED_MS while others wait behind it, the server skips it.
 * Checks cost system calls, so there are at most 10 a millisecond in all, a few per cent of a
 * processor. With more than 100 files in use, or with drift, each is checked less often than every
 * 20 ms; with more than 500 files, one that was not in use for a while less often than every
 * 100 ms; and they are repaired later then.
 */
#ifndef SMUF_TURNS_H
#define SMUF_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/server/core/store.h"

struct storefile;
struct visit;

/* Begins to check the lock file of a new memory file of version 1. */
void turns_begin(struct storefile *s);

/* Ends that. */
void turns_end(struct storefile *s);

/* The visit of a file whose check is due. */
void turns_check(struct visit *v);

/* True when turn is being served. */
bool turns_is_served(const struct storefile *s, uint32_t turn);

/* Advances the turn when event ends it. */
void turns_lock_changed(struct storefile *s, enum store_event event);

#endif
