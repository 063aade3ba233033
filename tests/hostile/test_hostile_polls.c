/*
 * Clients of version 1 that poll for a lock, and do not come when it is their turn, cost the
 * clients of version 2 that wait for it no more than a small part of its time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/hostile/rig.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/raw.h"

#define FILE_NAME "/polled"

enum {
	HONEST = 4,
	POLLERS = 64,
	POLLS = 2, /* of each poller, at an interval that it makes as long as the server heeds */
	INTERVAL_MS = 100,
	SILENCE_MS = 300, /* then */
	WINDOW_MS = 600,
	WINDOWS = 2,
	WINDOWS_FULL = 10,
	TRIES = 5,
	SHARE_LEAST = 70 /* percent of the sections without pollers */
};

static struct daemon server;

static struct {
	struct child_complaint complaint;
	atomic_bool is_attacked;
	atomic_uint ready;
	atomic_ulong sections, polls;
} * shared;

static pid_t pids[HONEST + 1];

/* Never returns. */
static void
take_turns(void)
{
	struct client c = { 0 };

	if (!client_open(&c, &server, CLIENT_MOUNT FILE_NAME, 0))
		child_complain(&shared->complaint, "sm_open: %s", sm_error(c.sm));
	atomic_fetch_add(&shared->ready, 1);
	for (;;) {
		if (sm_lock(c.file) != 0 || sm_unlock(c.file) != 0)
			child_complain(&shared->complaint, "an honest client: %s", sm_error(c.sm));
		atomic_fetch_add(&shared->sections, 1);
	}
}

/* A poller that gets the lock gives it back at once. */
static void
poll_once(struct raw *r)
{
	atomic_fetch_add(&shared->polls, 1);
	if (raw_ask(r, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_PURE) == 0)
		assert_string_equal(RAW_ASK(r, OP_UNLOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_PURE),
		    "0");
}

/* Never returns. */
static void
poll_for_lock(void)
{
	SSL_CTX *ctx = raw_context(server.config.pki, RIG_ATTACKER_CERTIFICATE);
	static struct raw r[POLLERS];
	int i, k;

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	for (i = 0; i < POLLERS; i++) {
		raw_connect_plain(&r[i], &server);
		assert_int_equal(raw_handshake(&r[i], ctx), 0);
		raw_begin(&r[i], false);
		assert_int_equal(raw_open(&r[i], FILE_NAME, 0), 0);
	}
	atomic_fetch_add(&shared->ready, 1);
	for (;;) {
		for (k = 0; k < POLLS; k++) {
			for (i = 0; i < POLLERS && atomic_load(&shared->is_attacked); i++)
				poll_once(&r[i]);
			poll(NULL, 0, INTERVAL_MS);
		}
		poll(NULL, 0, SILENCE_MS - INTERVAL_MS);
	}
}

/* Returns the sections of a window, with pollers or without. */
static unsigned long
count_sections(bool is_attacked)
{
	unsigned long before;

	atomic_store(&shared->is_attacked, is_attacked);
	before = atomic_load(&shared->sections);
	poll(NULL, 0, WINDOW_MS);
	child_expect_no_complaint(&shared->complaint);
	return atomic_load(&shared->sections) - before;
}

/* Returns the honest clients' sections beside pollers in percent of those without. */
static unsigned long
measure_share(void)
{
	unsigned long calm = 0, attacked = 0;
	int i;

	for (i = 0; i < (rig_is_full() ? WINDOWS_FULL : WINDOWS); i++) {
		calm += count_sections(false);
		attacked += count_sections(true);
	}
	print_message("# %lu sections, with %lu polls %lu\n", calm, atomic_load(&shared->polls),
	    attacked);
	assert_true(calm > 0);
	return 100 * attacked / calm;
}

static void
start(void)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int i;

	for (i = 0; i <= HONEST; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0 && i < HONEST)
			take_turns();
		if (pids[i] == 0)
			poll_for_lock();
	}
	while (atomic_load(&shared->ready) <= HONEST) {
		child_expect_no_complaint(&shared->complaint);
		if (clock_now() > deadline)
			fail_msg("the clients are not served");
		patience_breathe();
	}
}

static void
pollers_who_do_not_come_leave_the_lock_to_others(void **state)
{
	unsigned long share = 0;
	int tries;

	(void)state;
	start();
	for (tries = 0; tries < TRIES && share < SHARE_LEAST; tries++)
		share = measure_share();
	if (share < SHARE_LEAST)
		fail_msg(
		    "sections of honest clients beside pollers: expected at least %d %% of "
		    "those without, got %lu %%",
		    SHARE_LEAST, share);
	assert_true(atomic_load(&shared->polls) > POLLERS);
}

static int
begin_all(void **state)
{
	(void)state;
	shared = child_share(sizeof *shared);
	daemon_open(&server, &(struct daemon_config){ .has_keys = true });
	pki_add(server.config.pki, "client", RIG_ATTACKER_CERTIFICATE, NULL, NULL);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	child_kill_all(pids, HONEST + 1);
	daemon_close_silent(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pollers_who_do_not_come_leave_the_lock_to_others),
	};

	return cmocka_run_group_tests_name("polls", tests, begin_all, end_all);
}
