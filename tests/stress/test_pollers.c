/*
 * Clients of version 1 poll for a lock of smdishserver beside ten clients of version 2 that acquire
 * and release it as fast as they can. Each of the pollers gets the lock at least once a second,
 * whether it polls every millisecond or every 100 ms.
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
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/raw.h"

enum {
	WAITERS = 10,
	POLLERS = 2,
	ALONE_MS = 500, /* the clients of version 2 by themselves, to compare */
	RUN_MS = 5000,
	GAP_MS = 1000 /* from one grant of a poller to its next, at most */
};

static const unsigned intervals_ms[POLLERS] = { 1, 100 };

struct page {
	atomic_uint ready;
	atomic_bool is_over;
	atomic_uint sections; /* of version 2, counted by the holder */
};

struct poller {
	struct raw raw;
	uint32_t fd;
	uint64_t interval; /* nanoseconds */
	uint64_t next;     /* poll */
	uint64_t last;     /* grant, or the begin */
	uint64_t longest_gap;
	unsigned polls, grants;
};

static struct daemon server;
static struct page *page;
static pid_t pids[WAITERS];

/* In a child: a client of version 2. */
static void __attribute__((noreturn)) compete(void)
{
	struct client c;

	child_expect(client_open(&c, &server, CLIENT_MOUNT "/lock", 0), "it can be opened");
	(void)atomic_fetch_add(&page->ready, 1);
	while (!atomic_load(&page->is_over)) {
		child_expect(sm_lock(c.file) == 0, "sm_lock");
		(void)atomic_fetch_add(&page->sections, 1);
		child_expect(sm_unlock(c.file) == 0, "sm_unlock");
	}
	client_close(&c);
	_exit(EXIT_SUCCESS);
}

static void
begin_competing(void)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int i;

	page = child_share(sizeof *page);
	for (i = 0; i < WAITERS; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			compete();
	}
	while (atomic_load(&page->ready) < WAITERS && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(atomic_load(&page->ready), WAITERS);
}

static void
end_competing(void)
{
	bool is_well = true;
	int i;

	atomic_store(&page->is_over, true);
	for (i = 0; i < WAITERS; i++) {
		is_well &= child_has_ended_well(pids[i]);
		pids[i] = -1;
	}
	assert_true(is_well);
}

/* Sections of version 2 in a second, taken over ms milliseconds. */
static unsigned
measure_alone(void)
{
	unsigned before = atomic_load(&page->sections);

	usleep(ALONE_MS * 1000);
	return (atomic_load(&page->sections) - before) * 1000 / ALONE_MS;
}

static void
note_gap(struct poller *p, uint64_t now)
{
	if (now - p->last > p->longest_gap)
		p->longest_gap = now - p->last;
	p->last = now;
}

/* A client that wants the lock again at once when it has released it. */
static void
poll_lock(struct poller *p)
{
	const char *status = RAW_ASK(&p->raw, OP_LOCK, "wb", p->fd, PROTOCOL_TYPE_PURE);

	p->polls++;
	if (strcmp(status, "0") == 0) {
		p->grants++;
		note_gap(p, clock_now());
		assert_string_equal(RAW_ASK(&p->raw, OP_UNLOCK, "wb", p->fd, PROTOCOL_TYPE_PURE),
		    "0");
		p->next = clock_now();
		return;
	}
	assert_string_equal(status, "EAGAIN");
	p->next = clock_now() + p->interval;
}

static struct poller *
next_to_poll(struct poller pollers[POLLERS])
{
	struct poller *next = &pollers[0];
	int i;

	for (i = 1; i < POLLERS; i++)
		if (pollers[i].next < next->next)
			next = &pollers[i];
	return next;
}

static void
poll_for(struct poller pollers[POLLERS], uint64_t ms)
{
	uint64_t begun = clock_now(), end = clock_after_ms(begun, ms);
	struct timespec when;
	struct poller *p;
	int i;

	for (i = 0; i < POLLERS; i++)
		pollers[i].next = pollers[i].last = begun;
	while (clock_now() < end) {
		p = next_to_poll(pollers);
		when = clock_timespec(p->next);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
		poll_lock(p);
	}
	for (i = 0; i < POLLERS; i++)
		note_gap(&pollers[i], clock_now());
}

static void
pollers_get_the_lock_beside_clients_that_wait(void **state)
{
	struct poller pollers[POLLERS] = { 0 };
	unsigned alone, beside, i;

	(void)state;
	begin_competing();
	for (i = 0; i < POLLERS; i++) {
		raw_connect(&pollers[i].raw, &server);
		raw_begin(&pollers[i].raw, false);
		pollers[i].fd = raw_open(&pollers[i].raw, "/lock", 0);
		pollers[i].interval = intervals_ms[i] * CLOCK_MS;
	}
	alone = measure_alone();
	beside = atomic_load(&page->sections);
	poll_for(pollers, RUN_MS);
	beside = (atomic_load(&page->sections) - beside) / (RUN_MS / 1000);
	end_competing();
	for (i = 0; i < POLLERS; i++) {
		print_message("# at %u ms: %u of %u polls, %u ms between two grants at most\n",
		    intervals_ms[i], pollers[i].grants, pollers[i].polls,
		    (unsigned)(pollers[i].longest_gap / CLOCK_MS));
		raw_close(&pollers[i].raw);
	}
	print_message("# version 2: %u sections a second alone, %u beside the pollers\n", alone,
	    beside);
	for (i = 0; i < POLLERS; i++)
		if (patience_is_over(pollers[i].longest_gap, GAP_MS))
			fail_msg(
			    "expected the poller at %u ms to get the lock at least every %d "
			    "ms, got %u ms without it (%u grants)",
			    intervals_ms[i], GAP_MS, (unsigned)(pollers[i].longest_gap / CLOCK_MS),
			    pollers[i].grants);
}

static int
start_server(void **state)
{
	const struct daemon_config config = { .pki = NULL };

	daemon_open(&server, &config);
	*state = &server;
	return 0;
}

static int
stop_server(void **state)
{
	child_kill_all(pids, WAITERS);
	raw_abandon();
	return daemon_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pollers_get_the_lock_beside_clients_that_wait),
	};

	return cmocka_run_group_tests_name("pollers", tests, start_server, stop_server);
}
