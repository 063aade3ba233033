/*
 * Eight processes that want nothing but the lock get it in the order of their tickets: while one
 * waits, each of the others has it once at most. Each gets the same share of it, within 10 % of
 * each other (DESIGN 10), on a machine that has its processors for them: a process that is
 * preempted while it does not wait has less.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

enum {
	PROCESSES = 8,
	RUN_MS = 5000,
	RUN_SANITIZED_MS = 1500,
	APART_PERCENT = 10,
	LEAST = 200 /* critical sections of each, or the shares say nothing */
};

struct page {
	atomic_uint ready;
	atomic_bool may_begin, is_over;
	atomic_uint sections[PROCESSES]; /* counted by the holder */
	atomic_uint waits, overtaken; /* waits for the lock; those in which another had it twice */
};

static struct page *page;

/* In a child: the sections when it drew its ticket. */
static unsigned before[PROCESSES];
static bool has_ticket;

static void
note_ticket(const char *step)
{
	int i;

	if (strcmp(step, "ticketlock: ticket drawn") != 0)
		return;
	for (i = 0; i < PROCESSES; i++)
		before[i] = atomic_load(&page->sections[i]);
	has_ticket = true;
}

/* By the holder. */
static void
count_overtakers(void)
{
	int i;

	if (!has_ticket)
		return;
	(void)atomic_fetch_add(&page->waits, 1);
	for (i = 0; i < PROCESSES; i++)
		if (atomic_load(&page->sections[i]) - before[i] > 1)
			(void)atomic_fetch_add(&page->overtaken, 1);
	has_ticket = false;
}

static void __attribute__((noreturn)) compete(const struct smc_world *world, int self)
{
	struct client p;

	child_expect(smc_join(&p, world, "fair", SMC_SEGMENT) == 0, "it can be opened");
	testpoint_watch(note_ticket);
	(void)atomic_fetch_add(&page->ready, 1);
	while (!atomic_load(&page->may_begin))
		patience_breathe();
	while (!atomic_load(&page->is_over)) {
		child_expect(sm_lock(p.file) == 0, "sm_lock");
		child_expect(smc_value(p.segment) >= 0, "the segment is whole");
		smc_count(p.segment);
		count_overtakers();
		(void)atomic_fetch_add(&page->sections[self], 1);
		child_expect(sm_unlock(p.file) == 0, "sm_unlock");
	}
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static bool
has_each_enough(void)
{
	int i;

	for (i = 0; i < PROCESSES; i++)
		if (atomic_load(&page->sections[i]) < LEAST)
			return false;
	return true;
}

static void
shares_are_equal(void **state)
{
	uint64_t deadline, ms = patience_is_sanitized() ? RUN_SANITIZED_MS : RUN_MS;
	unsigned least = UINT32_MAX, most = 0, sections;
	struct smc_world world;
	pid_t pids[PROCESSES];
	bool is_well = true;
	int i;

	(void)state;
	page = child_share(sizeof *page);
	smc_world_create(&world);
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			compete(&world, i);
	}
	while (atomic_load(&page->ready) < PROCESSES)
		patience_breathe();
	atomic_store(&page->may_begin, true);
	usleep((useconds_t)ms * 1000);
	deadline = patience_until(PATIENCE_MS);
	while (!has_each_enough() && clock_now() < deadline)
		patience_breathe();
	atomic_store(&page->is_over, true);
	for (i = 0; i < PROCESSES; i++)
		is_well &= child_has_ended_well(pids[i]);
	assert_true(is_well);
	for (i = 0; i < PROCESSES; i++) {
		sections = atomic_load(&page->sections[i]);
		least = sections < least ? sections : least;
		most = sections > most ? sections : most;
	}
	print_message("# %u to %u critical sections of each of %d processes, %u waits\n", least,
	    most, PROCESSES, atomic_load(&page->waits));
	assert_in_range(least, LEAST, UINT32_MAX);
	assert_in_range(atomic_load(&page->waits), LEAST * PROCESSES, UINT32_MAX);
	assert_int_equal(atomic_load(&page->overtaken), 0);
	if ((uint64_t)(most - least) * 100 > (uint64_t)most * APART_PERCENT && !patience_is_busy())
		fail_msg("expected shares within %d %% of each other, got %u to %u", APART_PERCENT,
		    least, most);
	smc_world_destroy(&world);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_are_equal),
	};

	return cmocka_run_group_tests_name("smc fairness", tests, NULL, NULL);
}
