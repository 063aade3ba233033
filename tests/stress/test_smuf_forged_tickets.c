/*
 * The host forges ticket and turn in the lock file while processes count: the server alone decides
 * which process holds the lock, so there are never two holders, and no increment is lost.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/hostile.h"
#include "tests/stress/patience.h"

enum { PROCESSES = 4, INCREMENTS = 3000, SEGMENT = 3 * 4096 };

#define NAME "forged"

/* Shared without the server's help. */
struct page {
	atomic_int holder; /* 0: none */
	atomic_uint together;
	atomic_int ready;
	atomic_int has_begun;
};

static struct daemon server;
static struct page *page;

static int
fail_child(const char *what, const struct sm *sm)
{
	fprintf(stderr, "process %ld: %s: %s\n", (long)getpid(), what, sm_error(sm));
	return EXIT_FAILURE;
}

static int
count(int self)
{
	volatile uint64_t *counter;
	struct client c;
	int i;

	if (!client_open(&c, &server, CLIENT_MOUNT "/" NAME, SEGMENT))
		return fail_child("sm_map", c.sm);
	counter = c.words;
	atomic_fetch_add(&page->ready, 1);
	while (!atomic_load(&page->has_begun))
		patience_breathe();
	for (i = 0; i < INCREMENTS; i++) {
		if (sm_lock(c.file) != 0)
			return fail_child("sm_lock", c.sm);
		if (atomic_exchange(&page->holder, self) != 0)
			atomic_fetch_add(&page->together, 1);
		++*counter;
		/* Give another process time to enter. */
		if (i % 16 == 0)
			sched_yield();
		counter[SEGMENT / sizeof *counter - 1] = *counter;
		if (atomic_exchange(&page->holder, 0) != self)
			atomic_fetch_add(&page->together, 1);
		if (sm_unlock(c.file) != 0)
			return fail_child("sm_unlock", c.sm);
	}
	client_close(&c);
	return EXIT_SUCCESS;
}

static void
forged_tickets_make_no_second_holder(void **state)
{
	struct client c;
	pid_t pids[PROCESSES];
	static struct hostile host; /* its thread may outlive a test that fails */
	unsigned long deeds;
	int i, status, failures = 0;

	(void)state;
	client_expect_open(&c, &server, CLIENT_MOUNT "/" NAME, SEGMENT);
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0) {
			client_close(&c);
			_exit(count(i + 1));
		}
	}
	hostile_begin(&host, HOSTILE_FORGES_TICKETS, &server, NAME);
	while (atomic_load(&page->ready) < PROCESSES)
		patience_breathe();
	atomic_store(&page->has_begun, 1);
	for (i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		failures += status != 0;
	}
	deeds = hostile_end(&host);
	assert_int_equal(failures, 0);
	assert_int_equal(atomic_load(&page->together), 0);
	assert_int_equal(sm_lock(c.file), 0);
	assert_int_equal(c.words[0], PROCESSES * INCREMENTS);
	assert_int_equal(c.words[SEGMENT / sizeof *c.words - 1], PROCESSES * INCREMENTS);
	assert_int_equal(sm_unlock(c.file), 0);
	client_close(&c);
	print_message("# %d increments, tickets forged %lu times\n", PROCESSES * INCREMENTS, deeds);
	assert_true(deeds > 100);
}

static int
begin_all(void **state)
{
	(void)state;
	page = child_share(sizeof *page);
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_close_silent(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(forged_tickets_make_no_second_holder),
	};

	return cmocka_run_group_tests_name("smuf forged tickets", tests, begin_all, end_all);
}
