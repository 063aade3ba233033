/*
 * worker: a process that counts with others in a segment, and the accounting that makes every loss and
 * every excess visible, whoever of them is killed when.
 *
 * In the segment there is a counter, a slot for each worker, a copy of the counter, a block that stays
 * zeros, and a wide area that is all one number. Outside, in a page that the kernel shares, each worker
 * notes how many of its sm_unlock() calls have returned and what it is about to do. So whoever gets the
 * lock can check that
 *
 *	- counter, copy and the sum of the slots agree, and the wide area, which takes several records of TLS, is
 *	  all one number: a release is published as a whole or not at all;
 *	- each slot is at least what its worker had finished before the lock was asked for: nothing that was
 *	  finished is lost, a one-way release that was still in the socket of a killed process included;
 *	- the block of zeros is zeros: what a worker that is to die wrote before appears nowhere.
 *
 * And who takes a dead worker's place knows its slot to the last unit: what it had finished, plus one at
 * most if it died within sm_unlock(), plus nothing if it died anywhere else.
 *
 * A worker that finds something wrong writes a complaint and exits. It calls nothing of cmocka.
 */
#ifndef TESTS_STRESS_WORKER_H
#define TESTS_STRESS_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/size.h"
#include "tests/stress/child.h"

struct daemon;
struct sm_file;

#define WORKER_FILE "/s/counter"

enum { WORKER_COUNT = 8, WORKER_SEGMENT = 64 * SIZE_KIB };

enum worker_phase {
	WORKER_OUTSIDE,
	WORKER_WAITING,
	WORKER_INSIDE,
	WORKER_POISONED, /* inside, has written, waits to be killed */
	WORKER_RELEASING /* within sm_unlock(), or has not noted its return yet */
};

enum worker_order { WORKER_LIVE, WORKER_DIE_INSIDE, WORKER_DIE_AFTER_UNLOCK };

/* Of one worker, whichever process plays it; outlives the process. */
struct worker_account {
	_Atomic uint64_t done; /* sm_unlock() calls that have returned */
	_Atomic int phase;
	_Atomic int order;
};

/* What all processes share without the server's help: a MAP_SHARED page. */
struct worker_page {
	struct worker_account accounts[WORKER_COUNT];
	uint64_t target;        /* increments of each worker */
	_Atomic uint64_t taken; /* when the lock was taken first after this was set to 0 */
	struct child_complaint complaint;
};

/*
 * In a forked child: counts until the slot of worker self is at the target, or it is killed. address is that of
 * the server d. Does not return.
 */
void worker_run(struct worker_page *page, size_t self, const struct daemon *d, const char *address)
    __attribute__((noreturn));

/* With the lock: fails the test unless every worker has counted to the target, exactly. */
void worker_expect_done(const struct worker_page *page, uint8_t *segment);

#endif
