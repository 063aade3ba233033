/*
 * sending: replies that carry a segment, or the part of it that a replica lacks, written into the
 * session's output piece by piece.
 *
 * Only SENDING_ROOM bytes of such a reply are in memory at a time; the store writes the next ones
 * when the client has read. The file cannot change meanwhile, since the client holds its lock.
 * While a reply is being written the session executes no request, and the replies of ACQUIREs that
 * end by a timer wait behind it, so that no bytes come between. When the claim ends before the
 * reply is complete, the session ends: a frame is never completed with other bytes.
 */
#ifndef COMMON_SERVER_CORE_SENDING_H
#define COMMON_SERVER_CORE_SENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"

struct desc;
struct session;

enum { SENDING_ROOM = 64 * SIZE_KIB };

/*
 * Begins a reply of status 0 to d's session, which is not sending: head, then the delta of a grant
 * of d from d->since. Returns 0 or -ENOMEM (the output is as it was).
 */
int sending_begin_grant(struct desc *d, const void *head, size_t head_size);

/* The same for the reply of a LOCK of version 1: head, then the segment as the store has it. */
int sending_begin_lock(struct session *s, struct desc *d, const void *head, size_t head_size);

/* True while a reply is not yet written to its end. */
bool sending_is_active(const struct session *s);

/* True when sending_continue() can write more. */
bool sending_can_continue(const struct session *s);

/* Writes as much as there is room for. */
void sending_continue(struct session *s);

/* The claim of d has ended, in any state: ends its session if its reply is incomplete. */
void sending_claim_ended(struct desc *d);

#endif
