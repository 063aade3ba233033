/*
 * forkhooks: the work of the library around fork(2).
 *
 * fork(2) itself runs the hooks of all registered objects: ready and then prepare in the parent
 * before it. ready gets what the child will need, from servers too, for FORKHOOKS_READY_MS at most
 * for all objects together. prepare takes every lock of the library, so that the child finds
 * consistent state, and waits for nothing else. The last lock is that of OpenSSL (libctx.h). Then
 * parent or child runs, with OpenSSL first. A fork that skips the hooks (clone(2), _Fork(3)) is
 * detected at the first call in the child: forkhooks_check().
 */
#ifndef COMMON_CLIENT_FORKHOOKS_H
#define COMMON_CLIENT_FORKHOOKS_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

enum { FORKHOOKS_READY_MS = 1000 };

struct forkhook {
	TAILQ_ENTRY(forkhook) link;
	uint64_t copy; /* of the process, that the state belongs to: see forkmark.h */
	void (*ready)(struct forkhook *, uint64_t until); /* nanoseconds of CLOCK_MONOTONIC */
	void (*prepare)(struct forkhook *);
	void (*parent)(struct forkhook *);

	/*
	 * is_prepared false: prepare did not run, and any thread of the parent may have had a lock.
	 */
	void (*child)(struct forkhook *, bool is_prepared);
};

/* Registers h, whose functions are set. Returns 0 or -ENOMEM. */
int forkhooks_add(struct forkhook *h);

void forkhooks_remove(struct forkhook *h);

/*
 * Counts the forks of this process that ran the hooks. It rises after the fork, while the parent
 * still has all locks that prepare took. So a thread that has made a descriptor, and lists it with
 * one of them, knows by it whether there is a child that has inherited the descriptor unknowingly.
 */
unsigned forkhooks_count(void);

/* At the beginning of every public call: runs h->child in a child whose fork skipped the hooks. */
void forkhooks_check(struct forkhook *h);

#endif
