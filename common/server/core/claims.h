/*
 * claims: the claim of a descriptor on the lock of its file, from the request to the end: granted,
 * delivered, cancelled, dropped.
 *
 * A claim is idle, waiting or held (lockqueue.h). A descriptor whose claim is not idle is in one
 * list of its session (claimlists.h). Its timer is the timeout of the ACQUIRE while it waits, the
 * end of the lease from then on (leases.h). In version 2 the tag of its ACQUIRE names it, until it
 * ends or another ACQUIRE takes the tag over (tags.h).
 *
 * An upgrade is a second ACQUIRE of a claim that is held shared. While it waits, or was granted and
 * is_undelivered, it may be refused, which leaves the claim as it was; after its reply, CANCEL
 * leaves the claim shared. From its begin on its tag names the claim, and no older one.
 *
 * A grant that follows from another session's release is delivered later, by claims_deliver(): the
 * waiter's session may have too many unsent replies already.
 */
#ifndef COMMON_SERVER_CORE_CLAIMS_H
#define COMMON_SERVER_CORE_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct claim;
struct desc;
struct memfile;
struct session;

/*
 * Version 1: claims the lock for d, whose claim is idle. Returns 0, or -EAGAIN when it is not free:
 * the session may then have a place in the queue (pollers.h).
 */
int claims_lock(struct desc *d);

/* Version 1: the reply of the LOCK by which d has its lock is written, or begun. */
void claims_lock_replied(struct desc *d);

/* Version 1: the descriptor by which s holds the lock of f, or NULL. */
struct desc *claims_find_holder(const struct session *s, const struct memfile *f);

/* The descriptor that holds the lock of f for longest, in either version and mode, or NULL. */
const struct desc *claims_first_holder(const struct memfile *f);

/* The same for a session that asks, which gets the next holder, if any, when it is the first. */
const struct desc *claims_holder_for(const struct session *asks, const struct memfile *f);

/*
 * Version 2: claims the lock for d, whose claim is idle. timeout is in milliseconds, or
 * PROTOCOL_TIMEOUT_TRY or PROTOCOL_TIMEOUT_NEVER; since is the version that the client says it has.
 * Returns 0 when the reply is written or will be; -EAGAIN when the lock is not free and timeout is
 * PROTOCOL_TIMEOUT_TRY.
 */
int claims_acquire(struct desc *d, uint16_t tag, enum protocol_mode mode, uint32_t timeout,
    uint64_t since);

/*
 * Version 2: claims the lock exclusively for d, which holds it shared. timeout and since are as
 * above. Returns 0 when the reply is written or will be; -EDEADLK when an upgrade of d, or of
 * another descriptor of the file, waits; -EINVAL when d does not hold the lock shared, its reply
 * begun; -EAGAIN when others hold it and timeout is PROTOCOL_TIMEOUT_TRY. After an error the claim
 * is as it was.
 */
int claims_upgrade(struct desc *d, uint16_t tag, uint32_t timeout, uint64_t since);

/* Lets d, which holds its lock exclusively, share it under the same grant. */
void claims_share(struct desc *d);

/*
 * Frees the tag for a new ACQUIRE of s: a held claim that has it loses it. Returns 0, or -EPROTO
 * when the ACQUIRE with that tag has had no reply.
 */
int claims_free_tag(struct session *s, uint16_t tag);

/*
 * Ends the claim of s that has that tag, with nothing published; a pending ACQUIRE is answered with
 * ECANCELED. After that of an upgrade, the claim is held shared. Does nothing when the tag names no
 * claim.
 */
void claims_cancel_tag(struct session *s, uint32_t tag);

/* The granted function of every lockqueue: c waited, and was granted the lock or its upgrade. */
void claims_granted(struct claim *c);

/*
 * Writes the replies of the undelivered grants of s, as long as fewer than output_limit bytes are
 * unsent and no reply is incomplete.
 */
void claims_deliver(struct session *s, size_t output_limit);

/* True when claims_deliver() can write a reply. */
bool claims_can_deliver(const struct session *s, size_t output_limit);

/* Ends the claim of d, whatever its state, with nothing published; the next waiters are granted. */
void claims_drop(struct desc *d);

/* The same for an UNLOCK of version 1, which is another event for the store. */
void claims_unlock(struct desc *d);

/* The same; a pending ACQUIRE, or upgrade, is answered with ECANCELED. */
void claims_end(struct desc *d);

#endif
