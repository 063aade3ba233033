/*
 * turns: the lock of version 1, a ticket lock in the host's file that the server has the last word on (DESIGN 6).
 *
 * Clients take tickets in the file and wait there for their turn; then they ask the server, LOCK, which grants each
 * turn once. The server's own count of turns is the truth. The host can make clients wait, and nothing else.
 *
 * A turn ends with an UNLOCK (the client moves the file on), or with its holder or with a LOCK that was refused the
 * turn being served (the server does). The server looks at the file now and then: when it has differed from the truth for
 * TURNS_DRIFT_MS with nobody holding, the truth is stored there; when a turn was not claimed for
 * TURNS_UNCLAIMED_MS while others wait behind it, it is skipped. (With more than a thousand files, one that was not in use
 * for a while is looked at less often than every 100 ms, and mended later.)
 */
#ifndef SMUF_TURNS_H
#define SMUF_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/server/core/store.h"

struct storefile;

enum { TURNS_DRIFT_MS = 100, TURNS_UNCLAIMED_MS = 5000 };

/* A new memory file of version 1: its lock is looked after until its timer is disarmed. */
void turns_begin(struct storefile *s);

bool turns_is_served(const struct storefile *s, uint32_t turn);

void turns_lock_changed(struct storefile *s, enum store_event event);

#endif
