/* Sessions whose work goes on over several turns (common/server/core/session). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/server/core/account.h"
#include "common/server/core/buffers.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/server/core/store.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smdish/store.h"
#include "tests/unit/coretime.h"

enum {
	LEASE_MS = 100,
	SEGMENT = SIZE_MIB,
	FILES = 8,
	SMALL_SEGMENT = 60 * SIZE_KIB, /* whose grant is written in one go */
	UNREAD_LEAST = 256,            /* replies, in a session without memory */
	UNREAD_MOST = 1024
};

static struct server *server;
static void *store;
static struct session *holder, *waiter;
static uint64_t now;
static uint8_t bytes[SEGMENT + SIZE_KIB];

static void
feed(struct session *s, const void *data, size_t size)
{
	session_feed(s, data, size, &(struct budget){ .clock = coretime_spent });
}

/* Sends a request whose body of size bytes is in bytes, behind the room for a header. */
static void
request(struct session *s, uint16_t tag, enum protocol_op op, size_t size)
{
	frame_put(bytes, (struct frame){ frame_tagged(tag, op), (uint32_t)size });
	feed(s, bytes, FRAME_HEADER_SIZE + size);
}

static struct wire_writer
body(void)
{
	return wire_writer(bytes + FRAME_HEADER_SIZE, sizeof bytes - FRAME_HEADER_SIZE);
}

/* Reads all replies. Returns how many bytes. */
static size_t
drain(struct session *s)
{
	size_t size, sum = 0;
	const uint8_t *data;

	while ((size = session_output(s, &data)) > 0) {
		sum += size;
		session_sent(s, size);
	}
	return sum;
}

/* A session of version 2 with the segment as descriptor 0. */
static struct session *
join(void)
{
	struct wire_writer w = body();
	struct session *s;

	assert_int_equal(coretime_session(&s, server, "peer"), 0);
	wire_put_u32(&w, PROTOCOL_VERSION_2);
	wire_put_u32(&w, 0);
	request(s, 0, OP_HELLO, 8);
	request(s, 0, OP_NEW_FDTABLE, 0);
	w = body();
	wire_put_u32(&w, 1);
	wire_put_u8(&w, 'm');
	request(s, 0, OP_OPEN, 5);
	w = body();
	wire_put_u32(&w, 0);
	wire_put_u32(&w, SEGMENT);
	request(s, 0, OP_MMAP, 8);
	while (coretime_turn(s))
		continue;
	drain(s);
	return s;
}

static void
acquire(struct session *s)
{
	struct wire_writer w = body();

	wire_put_u32(&w, 0);
	wire_put_u8(&w, PROTOCOL_EXCLUSIVE);
	wire_put_u32(&w, PROTOCOL_TIMEOUT_NEVER);
	wire_put_u64(&w, 0);
	request(s, 1, OP_ACQUIRE, 17);
}

/* Releases grant 1 with all bytes of the segment. */
static void
release(struct session *s)
{
	struct wire_writer w = body();

	wire_put_u32(&w, 0);
	wire_put_u64(&w, 1);
	wire_put_u8(&w, 0);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, SEGMENT);
	request(s, 2, OP_RELEASE, 25 + SEGMENT);
}

static int
setup(void **state)
{
	struct server_config config = server_config_default();

	(void)state;
	config.lease_ms = LEASE_MS;
	assert_int_equal(smdish_store.start(&store, NULL), 0);
	assert_int_equal(server_create(&server, &config, &smdish_store, store), 0);
	now = CLOCK_SEC;
	server_set_time(server, now);
	holder = join();
	waiter = join();
	acquire(holder);
	drain(holder);
	acquire(waiter);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	session_destroy(holder);
	session_destroy(waiter);
	server_destroy(server);
	smdish_store.stop(store);
	return 0;
}

/* The release came in time: nobody is granted before it is whole, and it counts. */
static void
a_lease_does_not_end_in_the_middle_of_a_release(void **state)
{
	size_t got = 0, n;

	(void)state;
	release(holder);
	assert_true(session_has_work(holder));
	coretime_pass(server, &now, LEASE_MS);
	assert_true(coretime_turn(holder));
	coretime_pass(server, &now, 0);
	coretime_turn(waiter);
	assert_int_equal(drain(waiter), 0);
	while (coretime_turn(holder))
		continue;
	assert_int_equal(drain(holder), FRAME_HEADER_SIZE + 8);
	do {
		coretime_turn(waiter);
		n = drain(waiter);
		got += n;
	} while (n > 0);
	assert_int_equal(got, FRAME_HEADER_SIZE + 16 + 4 + 8 + SEGMENT);
}

/* The lease began anew when the grant was read: it ends after another turn, as any other. */
static void
a_lease_that_began_anew_has_its_grace(void **state)
{
	struct wire_writer w = body();

	(void)state;
	release(holder);
	while (coretime_turn(holder))
		continue;
	/* The grant is read so late that its lease is due, and has asked for a turn. */
	coretime_turn(waiter);
	coretime_pass(server, &now, PROTOCOL_LEASE_DELIVERY_MS + LEASE_MS);
	while (coretime_turn(waiter) || drain(waiter) > 0)
		continue;
	coretime_pass(server, &now, LEASE_MS);
	assert_false(session_is_over(waiter));
	wire_put_u32(&w, 0);
	wire_put_u64(&w, 2);
	wire_put_u8(&w, 0);
	wire_put_u32(&w, 0);
	request(waiter, 2, OP_RELEASE, 17);
	assert_int_equal(drain(waiter), FRAME_HEADER_SIZE + 8);
}

/* Releases grant 1 with a byte of each of that many blocks. */
static void
release_bytes(struct session *s, uint32_t count)
{
	struct wire_writer w = body();
	uint32_t i;

	wire_put_u32(&w, 0);
	wire_put_u64(&w, 1);
	wire_put_u8(&w, 0);
	wire_put_u32(&w, count);
	for (i = 0; i < count; i++) {
		wire_put_u32(&w, i * SIZE_BLOCK);
		wire_put_u32(&w, 1);
		wire_put_u8(&w, 1);
	}
	request(s, 2, OP_RELEASE, 17 + 9 * (size_t)count);
}

/* Its body is small, but each piece makes a page: it has its budget, as a large one has. */
static void
a_release_of_many_pieces_is_not_done_in_one_go(void **state)
{
	(void)state;
	release_bytes(holder, SEGMENT / SIZE_BLOCK);
	assert_int_equal(drain(holder), 0);
	while (coretime_turn(holder))
		continue;
	assert_int_equal(drain(holder), FRAME_HEADER_SIZE + 8);
}

static void
a_release_of_few_pieces_is_done_at_once(void **state)
{
	(void)state;
	release_bytes(holder, 4);
	assert_int_equal(drain(holder), FRAME_HEADER_SIZE + 8);
}

/* What the peer sent in time may be in a socket of which the driver knows nothing yet. */
static void
a_due_lease_has_the_socket_read_first(void **state)
{
	(void)state;
	assert_false(session_must_look(holder));
	coretime_pass(server, &now, LEASE_MS);
	assert_true(session_must_look(holder));
	assert_false(session_must_look(waiter));
	coretime_turn(holder);
	assert_false(session_must_look(holder));
}

/* Opens another file, of one letter, as descriptor fd. */
static void
open_file(struct session *s, uint32_t fd, uint32_t size)
{
	struct wire_writer w = body();

	wire_put_u32(&w, 1);
	wire_put_u8(&w, (uint8_t)('a' + fd));
	request(s, 0, OP_OPEN, 5);
	w = body();
	wire_put_u32(&w, fd);
	wire_put_u32(&w, size);
	if (size > 0)
		request(s, 0, OP_MMAP, 8);
	while (coretime_turn(s))
		continue;
	drain(s);
}

static void
acquire_file(struct session *s, uint32_t fd)
{
	struct wire_writer w = body();

	wire_put_u32(&w, fd);
	wire_put_u8(&w, PROTOCOL_EXCLUSIVE);
	wire_put_u32(&w, PROTOCOL_TIMEOUT_NEVER);
	wire_put_u64(&w, 0);
	request(s, (uint16_t)(100 + fd), OP_ACQUIRE, 17);
}

/* Publishes all of the file, and takes its lock again. */
static void
fill_file(struct session *s, uint32_t fd)
{
	struct wire_writer w;
	const uint8_t *reply;
	uint8_t grant[8];

	acquire_file(s, fd);
	assert_true(session_output(s, &reply) >= FRAME_HEADER_SIZE + sizeof grant);
	memcpy(grant, reply + FRAME_HEADER_SIZE, sizeof grant);
	drain(s);
	w = body();
	wire_put_u32(&w, fd);
	wire_put_bytes(&w, grant, sizeof grant);
	wire_put_u8(&w, 0);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, SMALL_SEGMENT);
	request(s, 2, OP_RELEASE, 25 + SMALL_SEGMENT);
	while (coretime_turn(s))
		continue;
	acquire_file(s, fd);
	drain(s);
}

/* However many grants wait to be sent, no more is written than the socket can soon take. */
static void
a_grant_at_once_does_not_write_all_that_wait(void **state)
{
	size_t got = 0, size, n;
	const uint8_t *unread;
	uint32_t fd;

	(void)state;
	for (fd = 1; fd <= FILES; fd++) {
		open_file(holder, fd, SMALL_SEGMENT);
		fill_file(holder, fd);
		open_file(waiter, fd, SMALL_SEGMENT);
		acquire_file(waiter, fd);
	}
	open_file(waiter, FILES + 1, 0);
	/* The end of its table ends its locks. */
	request(holder, 0, OP_NEW_FDTABLE, 0);
	acquire_file(waiter, FILES + 1);
	size = session_output(waiter, &unread);
	assert_in_range(size, FRAME_HEADER_SIZE, 2 * PROTOCOL_UNSENT_MOST);
	do {
		n = drain(waiter);
		got += n;
		coretime_turn(waiter);
	} while (n > 0 || session_has_work(waiter));
	/* With that of the segment that the table's end has freed, too, of which it has nothing. */
	assert_int_equal(got,
	    FILES * (FRAME_HEADER_SIZE + 16 + 4 + 8 + SMALL_SEGMENT) +
		2 * (FRAME_HEADER_SIZE + 16) + 4);
}

/* A large body that came in part is with the last session the server's spare buffer. */
static void
the_end_of_the_last_session_leaves_nothing(void **state)
{
	(void)state;
	frame_put(bytes, (struct frame){ frame_tagged(2, OP_RELEASE), 25 + SEGMENT });
	feed(holder, bytes, FRAME_HEADER_SIZE + SIZE_KIB);
	session_destroy(waiter);
	waiter = NULL;
	session_destroy(holder);
	holder = NULL;
	assert_int_equal(server_next_deadline(server), CLOCK_NEVER);
}

/* Takes all memory that the peer of the sessions may still have. Returns how much. */
static uint64_t
take_all(struct account **a)
{
	uint64_t sum = 0, n;

	assert_int_equal(account_get(server_accounts(server), "peer", a), 0);
	for (n = 1024 * SIZE_MIB; n > 0; n /= 2)
		while (account_take(*a, ACCOUNT_MEMORY, n) == 0)
			sum += n;
	return sum;
}

static void
give_all(struct account *a, uint64_t taken)
{
	account_give(a, ACCOUNT_MEMORY, taken);
	account_put(a);
}

static size_t
unread(const struct session *s)
{
	const uint8_t *data;

	return session_output(s, &data);
}

/* A new session that reads no replies, and its requests, until one has to wait. */
static struct session *
join_without_memory(void)
{
	struct session *s;
	int requests;

	assert_int_equal(coretime_session(&s, server, "peer"), 0);
	for (requests = 0; session_wants_input(s) && requests < UNREAD_MOST; requests++)
		request(s, 0, OP_NEW_FDTABLE, 0);
	assert_in_range(requests, UNREAD_LEAST, UNREAD_MOST - 1);
	assert_false(coretime_turn(s));
	assert_int_equal(unread(s), (requests - 1) * FRAME_HEADER_SIZE);
	return s;
}

static void
a_request_waits_for_room_for_its_reply(void **state)
{
	struct account *a;
	uint64_t taken = take_all(&a);
	struct session *s = join_without_memory();
	size_t size = unread(s);

	(void)state;
	coretime_pass(server, &now, PROTOCOL_STALL_MS / 2);
	coretime_turn(s);
	assert_int_equal(unread(s), size);
	assert_false(session_is_over(s));
	give_all(a, taken);
	coretime_pass(server, &now, PROTOCOL_STALL_MS / 4);
	coretime_turn(s);
	assert_int_equal(unread(s), size + FRAME_HEADER_SIZE);
	assert_true(session_wants_input(s));
	session_destroy(s);
}

static void
a_session_without_memory_ends_after_a_while(void **state)
{
	struct account *a;
	uint64_t taken = take_all(&a);
	struct session *s = join_without_memory();

	(void)state;
	coretime_pass(server, &now, PROTOCOL_STALL_MS);
	assert_true(session_is_over(s));
	session_destroy(s);
	give_all(a, taken);
}

/* The body is discarded; that does not begin the wait for the reply anew. */
static void
a_request_with_a_body_waits_no_longer(void **state)
{
	struct account *a;
	uint64_t taken = take_all(&a);
	struct session *s;
	int i;

	(void)state;
	assert_int_equal(coretime_session(&s, server, "peer"), 0);
	while (unread(s) + BUFFERS_REPLY_ROOM <= 4 * SIZE_KIB)
		request(s, 0, OP_NEW_FDTABLE, 0);
	assert_true(session_wants_input(s));
	request(s, 0, OP_OPEN, SIZE_KIB);
	assert_false(session_wants_input(s));
	coretime_pass(server, &now, PROTOCOL_STALL_MS);
	for (i = 0; i < 3 && !session_is_over(s); i++) {
		coretime_turn(s);
		coretime_pass(server, &now, 50);
	}
	assert_true(session_is_over(s));
	session_destroy(s);
	give_all(a, taken);
}

/* What a session has read is in memory, whatever its account may use: so it reads little. */
static void
a_session_without_memory_reads_little(void **state)
{
	struct account *a;
	uint64_t taken;

	(void)state;
	assert_int_equal(session_input_most(holder), 64 * SIZE_KIB);
	taken = take_all(&a);
	assert_in_range(session_input_most(holder), 1, 1024);
	give_all(a, taken);
	assert_int_equal(session_input_most(holder), 64 * SIZE_KIB);
}

/* The room for a body that has begun to come is there, so that comes as fast as with memory. */
static void
a_body_that_has_its_room_is_read_at_once(void **state)
{
	struct account *a;
	uint64_t taken;

	(void)state;
	frame_put(bytes, (struct frame){ frame_tagged(0, OP_STAT), 60 * SIZE_KIB });
	feed(holder, bytes, FRAME_HEADER_SIZE + 1);
	taken = take_all(&a);
	assert_in_range(session_input_most(holder), 60 * SIZE_KIB - 1, 61 * SIZE_KIB);
	feed(holder, bytes, 60 * SIZE_KIB - 1);
	give_all(a, taken);
	assert_int_equal(drain(holder), FRAME_HEADER_SIZE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_lease_does_not_end_in_the_middle_of_a_release,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(a_lease_that_began_anew_has_its_grace, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_release_of_many_pieces_is_not_done_in_one_go,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(a_release_of_few_pieces_is_done_at_once, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_due_lease_has_the_socket_read_first, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_grant_at_once_does_not_write_all_that_wait, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_request_waits_for_room_for_its_reply, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_session_without_memory_ends_after_a_while, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_request_with_a_body_waits_no_longer, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_session_without_memory_reads_little, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_body_that_has_its_room_is_read_at_once, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(the_end_of_the_last_session_leaves_nothing, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
