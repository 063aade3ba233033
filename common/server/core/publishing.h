/*
 * publishing: a RELEASE or an UNLOCK that publishes blocks, applied in pieces.
 *
 * The store checks the whole delta, reserves memory, copies, and publishes all blocks in one last
 * step (store.h). The lock stays held meanwhile, so nobody sees a half. The session executes
 * nothing else until the end; if its connection ends before, the work goes on without it.
 */
#ifndef COMMON_SERVER_CORE_PUBLISHING_H
#define COMMON_SERVER_CORE_PUBLISHING_H

#include <stdbool.h>
#include <stdint.h>

struct budget;
struct desc;
struct request;
struct session;

/*
 * Publishes what is left of the body of q for d, which holds its lock exclusively; flags are those
 * of a RELEASE. Then calls end with d and the result of the store, 0 or a negative errno, which
 * ends the claim and replies. Returns what end returns; or -EINPROGRESS when the budget of q is
 * spent: then publishing_continue() goes on.
 */
int publishing_begin(struct session *s, struct desc *d, struct request *q, uint8_t flags,
    int (*end)(struct session *s, struct desc *d, int error));

/* True from publishing_begin() until the end. */
bool publishing_is_active(const struct session *s);

/* Goes on. Returns as publishing_begin(). */
int publishing_continue(struct session *s, const struct budget *b);

#endif
