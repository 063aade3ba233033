#include "tests/stress/worker.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/client.h"

enum {
	SLOTS_BLOCK = 1,
	COPY_BLOCK = SLOTS_BLOCK + WORKER_COUNT,
	ZEROS_BLOCK = COPY_BLOCK + 1,
	WIDE_BLOCK = ZEROS_BLOCK + 1,
	WIDE_WORDS = (WORKER_SEGMENT - WIDE_BLOCK * SIZE_BLOCK) / 8,
	WIDE_EVERY = 8, /* increments */
	POISON = 0x5eed,
	SIGNATURE = 0x41
};

static struct worker_page *page; /* of this process */

static volatile uint64_t *
word(uint8_t *segment, int block)
{
	return (volatile uint64_t *)(segment + (size_t)block * SIZE_BLOCK);
}

/*
 * With the lock: checks the segment, whichever worker held the lock before. finished: the
 * increments that each had finished before.
 */
static void
check_segment(uint8_t *segment, const uint64_t finished[WORKER_COUNT])
{
	const volatile uint64_t *zeros = word(segment, ZEROS_BLOCK),
				*wide = word(segment, WIDE_BLOCK);
	uint64_t counter = *word(segment, 0), copy = *word(segment, COPY_BLOCK), sum = 0, slot;
	size_t i;

	for (i = 0; i < WORKER_COUNT; i++) {
		slot = *word(segment, SLOTS_BLOCK + (int)i);
		if (slot < finished[i])
			child_complain(&page->complaint,
			    "worker %zu had finished %lu, of which %lu are left", i,
			    (unsigned long)finished[i], (unsigned long)slot);
		sum += slot;
	}
	if (counter != copy || counter != sum)
		child_complain(&page->complaint,
		    "torn: counter %lu, copy %lu, sum of the slots %lu", (unsigned long)counter,
		    (unsigned long)copy, (unsigned long)sum);
	for (i = 0; i < SIZE_BLOCK / sizeof *zeros; i++)
		if (zeros[i] != 0)
			child_complain(&page->complaint, "what a killed worker wrote is there");
	for (i = 1; i < WIDE_WORDS; i++)
		if (wide[i] != wide[0])
			child_complain(&page->complaint,
			    "torn: the wide area begins with %lu, word %zu is %lu",
			    (unsigned long)wide[0], i, (unsigned long)wide[i]);
}

/* With the first lock of a process: takes over the slot of the process before it. */
static void
take_over(struct worker_account *account, uint64_t slot)
{
	uint64_t done = atomic_load(&account->done);
	bool was_releasing = atomic_load(&account->phase) == WORKER_RELEASING;

	if (slot != done && !(was_releasing && slot == done + 1))
		child_complain(&page->complaint,
		    "a worker died in phase %d with %lu finished, and %lu are published",
		    atomic_load(&account->phase), (unsigned long)done, (unsigned long)slot);
	atomic_store(&account->done, slot);
}

/* Writes values that no process may ever see, and waits with the lock to be killed. */
static void __attribute__((noreturn)) poison(struct worker_account *account, uint8_t *segment)
{
	int block;

	for (block = 0; block < COPY_BLOCK + 1; block++)
		*word(segment, block) += POISON;
	memset(segment + (size_t)ZEROS_BLOCK * SIZE_BLOCK, SIGNATURE, SIZE_BLOCK);
	atomic_store(&account->phase, WORKER_POISONED);
	for (;;)
		pause();
}

static void
lock(struct sm_file *file)
{
	uint64_t nobody = 0;

	if (sm_lock(file) != 0)
		child_complain(&page->complaint, "sm_lock: %s", sm_error(NULL));
	atomic_compare_exchange_strong(&page->taken, &nobody, clock_now());
}

static void
unlock(struct sm_file *file)
{
	if (sm_unlock(file) != 0)
		child_complain(&page->complaint, "sm_unlock: %s", sm_error(NULL));
}

/* The work of a critical section. Returns the worker's slot afterwards. */
static uint64_t
count(size_t self, uint8_t *segment)
{
	volatile uint64_t *wide = word(segment, WIDE_BLOCK);
	uint64_t own = ++*word(segment, SLOTS_BLOCK + (int)self);
	size_t i;

	++*word(segment, 0);
	++*word(segment, COPY_BLOCK);
	for (i = 0; own % WIDE_EVERY == 0 && i < WIDE_WORDS; i++)
		wide[i] = *word(segment, 0);
	return own;
}

/* One critical section. Returns false when the worker has reached the target. */
static bool
increment(size_t self, struct sm_file *file, uint8_t *segment, bool is_first)
{
	struct worker_account *account = &page->accounts[self];
	const volatile uint64_t *slot = word(segment, SLOTS_BLOCK + (int)self);
	uint64_t finished[WORKER_COUNT], own;
	size_t i;

	for (i = 0; i < WORKER_COUNT; i++)
		finished[i] = atomic_load(&page->accounts[i].done);
	if (!is_first)
		atomic_store(&account->phase, WORKER_WAITING);
	lock(file);
	check_segment(segment, finished);
	if (is_first)
		take_over(account, *slot);
	atomic_store(&account->phase, WORKER_INSIDE);
	if (*slot >= page->target) {
		unlock(file);
		return false;
	}
	if (atomic_load(&account->order) == WORKER_DIE_INSIDE)
		poison(account, segment);
	own = count(self, segment);
	atomic_store(&account->phase, WORKER_RELEASING);
	unlock(file);
	atomic_store(&account->done, own);
	atomic_store(&account->phase, WORKER_OUTSIDE);
	if (atomic_load(&account->order) == WORKER_DIE_AFTER_UNLOCK)
		raise(SIGKILL);
	return true;
}

void
worker_run(struct worker_page *shared, size_t self, const struct daemon *d, const char *address)
{
	struct client c;
	bool is_first = true;

	page = shared;
	c.sm = client_create_as(d, address, "client", NULL);
	if (!client_open_file(&c, WORKER_FILE, WORKER_SEGMENT))
		child_complain(&page->complaint, "%s: %s", WORKER_FILE, sm_error(c.sm));
	while (increment(self, c.file, c.segment, is_first))
		is_first = false;
	client_close(&c);
	_exit(EXIT_SUCCESS);
}

void
worker_expect_done(const struct worker_page *shared, uint8_t *segment)
{
	uint64_t sum = WORKER_COUNT * shared->target;
	size_t i;

	assert_int_equal(*word(segment, 0), sum);
	assert_int_equal(*word(segment, COPY_BLOCK), sum);
	for (i = 0; i < WORKER_COUNT; i++)
		assert_int_equal(*word(segment, SLOTS_BLOCK + (int)i), shared->target);
	for (i = 0; i < SIZE_BLOCK; i++)
		assert_int_equal(segment[(size_t)ZEROS_BLOCK * SIZE_BLOCK + i], 0);
}
