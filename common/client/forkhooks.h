/*
 * forkhooks: what the library has to do around fork(2).
 *
 * The hooks of all that is registered run in fork(2) itself: prepare in the parent before it, which gets ready what
 * the child will need and takes every lock of the library, so that the child finds everything in order; then
 * parent or child. A fork that skips them (clone(2), _Fork(3)) is noticed at the first call: forkhooks_check().
 */
#ifndef COMMON_CLIENT_FORKHOOKS_H
#define COMMON_CLIENT_FORKHOOKS_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

struct forkhook {
	TAILQ_ENTRY(forkhook) link;
	uint64_t owner; /* whose it is: see forkmark.h */
	void (*prepare)(struct forkhook *);
	void (*parent)(struct forkhook *);

	/* is_prepared false: prepare was not called, and any lock may be held by a thread that is not here. */
	void (*child)(struct forkhook *, bool is_prepared);
};

/* Registers; the functions are set. Returns 0 or -ENOMEM. */
int forkhooks_add(struct forkhook *h);

void forkhooks_remove(struct forkhook *h);

/* At the beginning of every call: runs h->child in a child whose fork skipped the hooks. */
void forkhooks_check(struct forkhook *h);

#endif
