/*
 * worker: a process that counts with others in a segment, and the accounting that makes every lost
 * and every additional increment visible, whichever worker is killed at whatever step.
 *
 * In the segment there are a counter, a slot for each worker, a copy of the counter, a block that
 * stays zeros, and a wide area that is all one number. Outside, in shared memory, each worker notes
 * how many of its sm_unlock() calls have returned and what it is about to do. So a holder checks
 * that
 *
 *	- counter, copy and the sum of the slots agree, and the wide area, which takes several
 *	  records of TLS, is all one number: a release is published as a whole or not at all;
 *	- each slot is at least what its worker had finished before the lock was asked for: no
 *	  finished increment is lost, not even a one-way release that was still in the socket of
 *	  a killed process;
 *	- the block of zeros is zeros: a worker that dies inside publishes nothing.
 *
 * A worker that replaces a dead one knows its slot exactly: the number of increments that the dead
 * worker had finished, and one more at most if it died within sm_unlock().
 *
 * A worker that finds an error makes a complaint and exits. It does not call cmocka.
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

/* Shared by the processes without the server's help (child_share()). */
struct worker_page {
	struct worker_account accounts[WORKER_COUNT];
	uint64_t target;        /* increments of each worker */
	_Atomic uint64_t taken; /* when the lock was first taken after this was set to 0 */
	struct child_complaint complaint;
};

/*
 * In a forked child: counts until the slot of worker self is at the target, or until it is killed.
 * address is that of the server d.
 */
void worker_run(struct worker_page *page, size_t self, const struct daemon *d, const char *address)
    __attribute__((noreturn));

/* With the lock: fails the test unless every worker has counted exactly to the target. */
void worker_expect_done(const struct worker_page *page, uint8_t *segment);

#endif
