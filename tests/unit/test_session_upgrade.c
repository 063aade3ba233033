/*
 * Upgrades and kept locks where the turns of sessions decide (common/server/core/claims): a request
 * that comes between the grant of an upgrade and its reply, a grant without memory for its reply,
 * a lease that ends in the middle of a release that keeps the lock, and one whose release waits
 * behind another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/size.h"
#include "common/server/core/account.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/server/core/store.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"
#include "smdish/store.h"
#include "tests/unit/coretime.h"

enum {
	LEASE_MS = 100,
	SEGMENT = SIZE_MIB,
	EMPTY_DELTA = 16 + 4,
	FULL_DELTA = 16 + 12 + SEGMENT,
	ROW = 5,              /* releases */
	LONG = 128 * SIZE_KIB /* bytes of each: more than a turn publishes */
};

static struct server *server;
static void *store;
static struct session *a, *b;
static uint64_t now;
static uint32_t descriptor; /* of the requests */
static uint8_t bytes[SEGMENT + SIZE_KIB];

/* Sends a request whose body w has written behind the room for a header, and nothing else. */
static void
request(struct session *s, uint16_t tag, enum protocol_op op, const struct wire_writer *w)
{
	size_t size = (size_t)(w->next - bytes);

	assert_false(w->failed);
	frame_put(bytes,
	    (struct frame){ frame_tagged(tag, op), (uint32_t)(size - FRAME_HEADER_SIZE) });
	session_feed(s, bytes, size, &(struct budget){ .clock = coretime_spent });
}

static struct wire_writer
body(void)
{
	return wire_writer(bytes + FRAME_HEADER_SIZE, sizeof bytes - FRAME_HEADER_SIZE);
}

static void
request_u32(struct session *s, uint16_t tag, enum protocol_op op, uint32_t value)
{
	struct wire_writer w = body();

	wire_put_u32(&w, value);
	request(s, tag, op, &w);
}

static void
acquire_since(struct session *s, uint16_t tag, enum protocol_mode mode, uint64_t since)
{
	struct wire_writer w = body();

	wire_put_u32(&w, descriptor);
	wire_put_u8(&w, mode);
	wire_put_u32(&w, PROTOCOL_TIMEOUT_NEVER);
	wire_put_u64(&w, since);
	request(s, tag, OP_ACQUIRE, &w);
}

static void
acquire(struct session *s, uint16_t tag, enum protocol_mode mode)
{
	acquire_since(s, tag, mode, 0);
}

/* Releases a grant; size bytes of the segment have changed. */
static void
release(struct session *s, uint16_t tag, uint64_t grant, uint8_t flags, uint32_t size)
{
	struct wire_writer w = body();

	wire_put_u32(&w, descriptor);
	wire_put_u64(&w, grant);
	wire_put_u8(&w, flags);
	wire_put_u32(&w, size > 0);
	if (size > 0) {
		wire_put_u32(&w, 0);
		wire_put_u32(&w, size);
		memset(wire_put_room(&w, size), 'x', size);
	}
	request(s, tag, OP_RELEASE, &w);
}

/* Reads the header of the next reply, and the whole of its body of that size. */
static void
expect(struct session *s, uint16_t tag, int error, size_t size)
{
	const uint8_t *data;
	size_t n, left = size;
	struct frame f;

	if (session_output(s, &data) < FRAME_HEADER_SIZE)
		fail_msg("[%u] %s: there is no reply", tag, status_name(status_to_wire(error)));
	f = frame_get(data);
	assert_int_equal(frame_tag(f.code), tag);
	assert_int_equal(frame_untagged(f.code), status_to_wire(error));
	assert_int_equal(f.body_size, size);
	session_sent(s, FRAME_HEADER_SIZE);
	while (left > 0) {
		n = session_output(s, &data);
		n = n < left ? n : left;
		assert_true(n > 0);
		session_sent(s, n);
		left -= n;
		if (left > 0)
			coretime_turn(s);
	}
}

static void
expect_nothing(const struct session *s)
{
	const uint8_t *data;

	assert_int_equal(session_output(s, &data), 0);
}

/* Opens the file of that name, of SEGMENT bytes, as the descriptor. */
static void
open_segment(struct session *s, uint8_t name, uint32_t fd)
{
	struct wire_writer w = body();

	wire_put_u32(&w, 1);
	wire_put_u8(&w, name);
	request(s, 0, OP_OPEN, &w);
	expect(s, 0, 0, 4);
	w = body();
	wire_put_u32(&w, fd);
	wire_put_u32(&w, SEGMENT);
	request(s, 0, OP_MMAP, &w);
	expect(s, 0, 0, 0);
}

/* A session of that peer, of version 2, with the segment as descriptor 0. */
static struct session *
join(const char *peer)
{
	struct wire_writer w = body();
	struct session *s;

	assert_int_equal(coretime_session(&s, server, peer), 0);
	wire_put_u32(&w, PROTOCOL_VERSION_2);
	wire_put_u32(&w, 0);
	request(s, 0, OP_HELLO, &w);
	expect(s, 0, 0, PROTOCOL_HELLO_REPLY_SIZE);
	w = body();
	request(s, 0, OP_NEW_FDTABLE, &w);
	expect(s, 0, 0, 0);
	open_segment(s, 'm', 0);
	return s;
}

static int
begin(uint32_t lease_ms)
{
	struct server_config config = server_config_default();

	config.lease_ms = lease_ms;
	assert_int_equal(smdish_store.start(&store, NULL), 0);
	assert_int_equal(server_create(&server, &config, &smdish_store, store), 0);
	now = CLOCK_SEC;
	descriptor = 0;
	server_set_time(server, now);
	a = join("a");
	b = join("b");
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return begin(0);
}

static int
setup_leases(void **state)
{
	(void)state;
	return begin(LEASE_MS);
}

static int
teardown(void **state)
{
	(void)state;
	session_destroy(a);
	session_destroy(b);
	assert_int_equal(server_file_count(server), 0);
	assert_int_equal(server_next_deadline(server), CLOCK_NEVER);
	server_destroy(server);
	smdish_store.stop(store);
	return 0;
}

/* a and b share; the upgrade of a was granted when b let go, and a has had no turn since. */
static void
grant_upgrade_to_a(void)
{
	acquire(a, 1, PROTOCOL_SHARED);
	expect(a, 1, 0, EMPTY_DELTA);
	acquire(b, 1, PROTOCOL_SHARED);
	expect(b, 1, 0, EMPTY_DELTA);
	acquire(a, 2, PROTOCOL_UPGRADE);
	release(b, 2, 2, 0, 0);
	expect(b, 2, 0, 8);
	expect_nothing(a);
}

static void
a_cancel_before_the_reply_leaves_the_old_grant(void **state)
{
	(void)state;
	grant_upgrade_to_a();
	acquire(b, 1, PROTOCOL_SHARED);
	expect_nothing(b);
	request_u32(a, 3, OP_CANCEL, 2);
	expect(a, 2, -ECANCELED, 0);
	expect(a, 3, 0, 0);
	coretime_turn(b);
	expect(b, 1, 0, EMPTY_DELTA);
	coretime_turn(a);
	expect_nothing(a);
	release(a, 4, 1, 0, 0);
	expect(a, 4, 0, 8);
}

static void
a_release_of_the_old_grant_before_the_reply_is_stale(void **state)
{
	(void)state;
	grant_upgrade_to_a();
	release(a, 3, 1, 0, 0);
	expect(a, 3, -ESTALE, 0);
	coretime_turn(a);
	expect(a, 2, 0, EMPTY_DELTA);
	release(a, 3, 3, 0, 1);
	expect(a, 3, 0, 8);
}

static void
a_second_upgrade_before_the_reply_is_a_deadlock(void **state)
{
	(void)state;
	grant_upgrade_to_a();
	acquire(a, 2, PROTOCOL_UPGRADE);
	expect(a, 2, -EPROTO, 0);
	acquire(a, 3, PROTOCOL_UPGRADE);
	expect(a, 3, -EDEADLK, 0);
	coretime_turn(a);
	expect(a, 2, 0, EMPTY_DELTA);
}

static void
the_end_of_the_session_before_the_reply_lets_go(void **state)
{
	(void)state;
	grant_upgrade_to_a();
	acquire(b, 1, PROTOCOL_EXCLUSIVE);
	session_destroy(a);
	a = NULL;
	coretime_turn(b);
	expect(b, 1, 0, EMPTY_DELTA);
}

/* Takes all memory that the peer may still have. Returns how much. */
static uint64_t
take_all(struct account *account)
{
	uint64_t sum = 0, n;

	for (n = 1024 * SIZE_MIB; n > 0; n /= 2)
		while (account_take(account, ACCOUNT_MEMORY, n) == 0)
			sum += n;
	return sum;
}

/* All blocks have to be sent to a, which has no memory for that. */
static void
an_upgrade_without_memory_for_its_reply_leaves_the_old_grant(void **state)
{
	struct account *account;
	uint64_t taken;

	(void)state;
	acquire(b, 1, PROTOCOL_EXCLUSIVE);
	expect(b, 1, 0, EMPTY_DELTA);
	acquire(a, 1, PROTOCOL_SHARED);
	release(b, 2, 1, PROTOCOL_RELEASE_KEEP, SEGMENT);
	while (coretime_turn(b))
		continue;
	expect(b, 2, 0, 8);
	coretime_turn(a);
	expect(a, 1, 0, FULL_DELTA);
	acquire(a, 2, PROTOCOL_UPGRADE);
	assert_int_equal(account_get(server_accounts(server), "a", &account), 0);
	taken = take_all(account);
	release(b, 2, 1, 0, 0);
	expect(b, 2, 0, 8);
	coretime_turn(a);
	expect(a, 2, -ENOMEM, 0);
	account_give(account, ACCOUNT_MEMORY, taken);
	account_put(account);
	acquire(b, 1, PROTOCOL_SHARED);
	expect(b, 1, 0, FULL_DELTA);
	acquire(a, 2, PROTOCOL_UPGRADE);
	expect_nothing(a);
	release(a, 3, 2, 0, 0);
	expect(a, 2, -ECANCELED, 0);
	expect(a, 3, 0, 8);
}

/* What it publishes counts; the lock, which it would keep, is lost. */
static void
a_lease_that_ends_in_a_release_with_keep_ends_after_it(void **state)
{
	(void)state;
	acquire(a, 1, PROTOCOL_EXCLUSIVE);
	expect(a, 1, 0, EMPTY_DELTA);
	acquire(b, 1, PROTOCOL_EXCLUSIVE);
	release(a, 2, 1, PROTOCOL_RELEASE_KEEP, SEGMENT);
	assert_true(session_has_work(a));
	coretime_pass(server, &now, LEASE_MS);
	assert_true(coretime_turn(a));
	coretime_pass(server, &now, 0);
	coretime_turn(b);
	expect_nothing(b);
	while (coretime_turn(a))
		continue;
	expect(a, 2, 0, 8);
	coretime_turn(b);
	expect_nothing(b);
	coretime_pass(server, &now, 0);
	coretime_turn(a);
	coretime_pass(server, &now, 0);
	coretime_turn(b);
	expect(b, 1, 0, FULL_DELTA);
	release(a, 3, 1, 0, 0);
	expect(a, 3, -ESTALE, 0);
	release(b, 3, 2, 0, 0);
	expect(b, 3, 0, 8);
}

/* a has the locks of two files; the release of one publishes in many turns. */
static void
begin_long_release_with_two_locks(void)
{
	open_segment(a, 'n', 1);
	acquire(a, 1, PROTOCOL_EXCLUSIVE);
	expect(a, 1, 0, EMPTY_DELTA);
	descriptor = 1;
	acquire(a, 2, PROTOCOL_EXCLUSIVE);
	expect(a, 2, 0, EMPTY_DELTA);
	descriptor = 0;
	release(a, 3, 1, 0, SEGMENT);
	assert_true(session_has_work(a));
	descriptor = 1;
}

/* Both leases end. */
static void
end_long_release(void)
{
	coretime_pass(server, &now, LEASE_MS);
	while (coretime_turn(a))
		coretime_pass(server, &now, 0);
	expect(a, 3, 0, 8);
}

/* It came in time, but nothing is read while the other one publishes. */
static void
a_release_that_waits_behind_another_one_came_in_time(void **state)
{
	(void)state;
	begin_long_release_with_two_locks();
	release(a, 4, 1, 0, 1);
	end_long_release();
	expect(a, 4, 0, 8);
}

static void
a_lease_ends_after_the_release_of_another_file(void **state)
{
	int turns;

	(void)state;
	begin_long_release_with_two_locks();
	end_long_release();
	for (turns = 0; turns < 3; turns++) {
		coretime_turn(a);
		coretime_pass(server, &now, 0);
	}
	release(a, 4, 1, 0, 1);
	expect(a, 4, -ESTALE, 0);
}

/* Whoever publishes without a pause has each of its leases no longer than others. */
static void
publications_in_a_row_do_not_prolong_a_lease(void **state)
{
	uint64_t grant;

	(void)state;
	begin_long_release_with_two_locks();
	descriptor = 0;
	for (grant = 2; grant < 2 + ROW; grant++) {
		acquire_since(a, 1, PROTOCOL_EXCLUSIVE, grant - 1);
		release(a, 3, grant, 0, LONG);
	}
	descriptor = 1;
	release(a, 4, 1, 0, 1);
	coretime_pass(server, &now, LEASE_MS);
	while (coretime_turn(a))
		coretime_pass(server, &now, 0);
	expect(a, 3, 0, 8);
	for (grant = 2; grant < 2 + ROW; grant++) {
		expect(a, 1, 0, EMPTY_DELTA);
		expect(a, 3, 0, 8);
	}
	expect(a, 4, -ESTALE, 0);
}

/* An upgrade whose reply the client does not read does not hold its lock for longer. */
static void
a_lease_ends_although_the_reply_of_the_upgrade_is_unread(void **state)
{
	(void)state;
	acquire(a, 1, PROTOCOL_SHARED);
	acquire(a, 2, PROTOCOL_UPGRADE);
	acquire(b, 1, PROTOCOL_EXCLUSIVE);
	coretime_pass(server, &now, PROTOCOL_LEASE_DELIVERY_MS + LEASE_MS);
	coretime_turn(a);
	coretime_pass(server, &now, 0);
	coretime_turn(b);
	expect(b, 1, 0, EMPTY_DELTA);
	expect(a, 1, 0, EMPTY_DELTA);
	expect(a, 2, 0, EMPTY_DELTA);
	release(a, 3, 2, 0, 0);
	expect(a, 3, -ESTALE, 0);
	release(b, 3, 3, 0, 0);
	expect(b, 3, 0, 8);
}

#define TEST(f, setup) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_cancel_before_the_reply_leaves_the_old_grant, setup),
		TEST(a_release_of_the_old_grant_before_the_reply_is_stale, setup),
		TEST(a_second_upgrade_before_the_reply_is_a_deadlock, setup),
		TEST(the_end_of_the_session_before_the_reply_lets_go, setup),
		TEST(an_upgrade_without_memory_for_its_reply_leaves_the_old_grant, setup),
		TEST(a_lease_that_ends_in_a_release_with_keep_ends_after_it, setup_leases),
		TEST(a_release_that_waits_behind_another_one_came_in_time, setup_leases),
		TEST(a_lease_ends_after_the_release_of_another_file, setup_leases),
		TEST(publications_in_a_row_do_not_prolong_a_lease, setup_leases),
		TEST(a_lease_ends_although_the_reply_of_the_upgrade_is_unread, setup_leases),
	};

	log_open("test_session_upgrade", NULL, LOG_LEVEL_NONE);
	return cmocka_run_group_tests_name("upgrades in sessions", tests, NULL, NULL);
}
