/* Releases that are refused, late, waited for, large, or not made at all (PROTOCOL 5.3). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "common/wire/wire.h"
#include "tests/unit/rig.h"

/* A release that was refused. */

static void
serve_refusal(void)
{
	uint16_t release;

	rig_greet();
	rig_grant(U64_0, "0000000000000001", "0000000000000000" NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000001 00001000 00000001 58");
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000001");
	rig_answer_tag(release, 116, "");
	rig_answer(0, "0000000000000003 0000000000000002 00000000");
	/* The grant is released, and nothing is published with it. */
	rig_take(OP_RELEASE, "00000007 0000000000000003 01 00000000");
	/* The replica was void. */
	rig_grant(U64_0, "0000000000000004", "0000000000000002 00000001 00002000 00000001 5a");
	rig_take(OP_RELEASE, "00000007 0000000000000004 01 00000000");
}

static void
a_refused_release_fails_the_next_lock_and_voids_the_replica(void **state)
{
	(void)state;
	rig_begin(serve_refusal);
	OK(sm_lock(rig.file));
	rig.segment[4096] = 'X';
	OK(sm_unlock(rig.file));
	FAILS(sm_lock(rig.file), ESTALE);
	assert_int_equal(rig.segment[4096], 'X');
	FAILS(sm_unlock(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	assert_int_equal(rig.segment[4096], 0);
	assert_int_equal(rig.segment[8192], 'Z');
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_refusal_to_others(void)
{
	uint16_t release;

	rig_greet();
	rig_serve(OP_OPEN, "00000002 2f67", "00000008");
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000001 00000000 00000001 58");
	release = rig.tag;
	/* The refusal comes with a reply for the other file. */
	rig_take(OP_ACQUIRE, "00000008 01 " FOREVER " " U64_0);
	rig_answer_tag(release, 22, "");
	rig_answer(0, "0000000000000001 " U64_0);
	rig_take(OP_RELEASE, "00000008 0000000000000001 01");
	rig_serve(OP_CLOSE, "00000008", "");
	rig_grant(U64_0, "0000000000000002", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
}

static void
a_refusal_is_matched_to_its_file(void **state)
{
	struct sm_file *other;

	(void)state;
	rig_begin(serve_refusal_to_others);
	other = rig_open_other();
	rig_publish('X');
	OK(sm_lock(other));
	OK(sm_unlock(other));
	OK(sm_close(other));
	FAILS(sm_lock(rig.file), EINVAL);
	/* The replica is void and nothing was ever published: the refused bytes are gone. */
	OK(sm_lock(rig.file));
	assert_int_equal(rig.segment[0], 0);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_refusal_at_close(void)
{
	uint16_t release;

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_grant(U64_0, "0000000000000001", U64_0);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01");
	release = rig.tag;
	rig_take(OP_CLOSE, "00000007");
	rig_answer_tag(release, 116, "");
	rig_answer(0, "");
}

static void
a_refusal_is_reported_by_close_if_by_no_call_before(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_refusal_at_close);
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	FAILS(sm_close(rig.file), ESTALE);
	rig_end();
}

static void
serve_leases(void)
{
	rig_greet_with("00000001");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_MMAP, "00000007 00003005", "");
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_serve(OP_RELEASE, "00000007 0000000000000001 00 00000001 00000000 00000001 31",
	    "0000000000000001");
	rig_grant("0000000000000001", "0000000000000002", "0000000000000001" NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000002 00 00000001 00000000 00000001 32");
	rig_answer(116, "");
	rig_grant(U64_0, "0000000000000003", "0000000000000001 00000001 00000000 00000001 31");
	rig_serve(OP_RELEASE, "00000007 0000000000000003 00 00000000", "0000000000000001");
}

static void
with_leases_unlock_waits_and_fails_itself(void **state)
{
	(void)state;
	rig_begin(serve_leases);
	rig_publish('1');
	OK(sm_lock(rig.file));
	rig.segment[0] = '2';
	FAILS(sm_unlock(rig.file), ESTALE);
	assert_int_equal(rig.segment[0], '2');
	OK(sm_lock(rig.file));
	assert_int_equal(rig.segment[0], '1');
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_close_of_a_holder(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	rig_grant(U64_0, "0000000000000002", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
}

static void
closing_a_holder_releases_and_publishes_nothing(void **state)
{
	struct sm_file *second;

	(void)state;
	rig_begin(serve_close_of_a_holder);
	second = sm_open(rig.sm, "/m/f");
	assert_non_null(second);
	assert_ptr_equal(sm_map(second, NULL, 0), rig.segment);
	OK(sm_lock(second));
	rig.segment[0] = 'X';
	OK(sm_close(second));
	FAILS(sm_unlock(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	assert_int_equal(rig.segment[0], 0);
	OK(sm_unlock(rig.file));
	rig_end();
}

/* Both ends have much to send: the peer sends its refusals before it reads. */

enum { LARGE = 900 * 1024 };

static void
serve_large(void)
{
	static uint8_t refusals[50 * 1000][FRAME_HEADER_SIZE];
	struct pollfd p = { .events = POLLIN };
	size_t i;

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_MMAP, "00000007 000e1000", "");
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	for (i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		frame_put(refusals[i], (struct frame){ frame_tagged(rig.tag, 22), 0 });
	rig_grant(U64_0, "0000000000000002", U64_0 NO_BLOCKS);
	p.fd = rig.fd;
	/* The release has begun to arrive: the refusals are of it. */
	while (poll(&p, 1, -1) < 0)
		continue;
	/* More than a socket buffer holds; the client writes as much meanwhile. */
	rig_write(refusals, sizeof refusals);
	if (rig_take_any() != OP_RELEASE || rig.body_size != 13 + 4 + 8 + LARGE)
		rig_surprise("expected a large RELEASE, got %u bytes", rig.body_size);
	else if (rig.body[25] != 1 || rig.body[25 + LARGE - 1] != 1)
		rig_surprise("expected other bytes");
}

static void
two_ends_that_both_write_do_not_block_each_other(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_large);
	rig.segment = sm_map(rig.file, NULL, LARGE);
	assert_non_null(rig.segment);
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	memset(rig.segment, 1, LARGE);
	OK(sm_unlock(rig.file));
	FAILS(sm_lock(rig.file), EINVAL);
	rig_end();
}

/* A large grant, too, and many small pieces with large ones between them. */

static uint8_t large_reply[FRAME_HEADER_SIZE + 16 + 4 + 8 + LARGE];

static void
serve_pieces(void)
{
	struct wire_writer w = wire_writer(large_reply, sizeof large_reply);
	uint32_t i;

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_MMAP, "00000007 000e1000", "");
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0);
	wire_put_u32(&w, frame_tagged(rig.tag, 0));
	wire_put_u32(&w, sizeof large_reply - FRAME_HEADER_SIZE);
	wire_put_u64(&w, 1);
	wire_put_u64(&w, 1);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, LARGE);
	memset(wire_put_room(&w, LARGE), 200, LARGE);
	rig_write(large_reply, sizeof large_reply / 2);
	usleep(10 * 1000);
	rig_write(large_reply + sizeof large_reply / 2,
	    sizeof large_reply - sizeof large_reply / 2);
	if (rig_take_any() != OP_RELEASE || rig.body_size != 13 + 4 + 100 * 9 + 8 + 50 * 4096)
		rig_surprise("expected 101 pieces, got %u bytes", rig.body_size);
	for (i = 0; i < 100; i++)
		if (rig.body[17 + 9 * i + 8] != i)
			rig_surprise("piece %u is %u", i, rig.body[17 + 9 * i + 8]);
	for (i = 0; i < 50 * 4096; i++)
		if (rig.body[17 + 900 + 8 + i] != (uint8_t)(i | 1) % 199)
			rig_surprise("byte %u of the last piece is %u", i,
			    rig.body[17 + 900 + 8 + i]);
}

static void
large_grants_and_many_pieces_arrive_whole(void **state)
{
	uint32_t i;

	(void)state;
	rig_begin_with(NULL, serve_pieces);
	rig.segment = sm_map(rig.file, NULL, LARGE);
	assert_non_null(rig.segment);
	OK(sm_lock(rig.file));
	for (i = 0; i < LARGE; i++)
		assert_int_equal(rig.segment[i], 200);
	for (i = 0; i < 100; i++)
		rig.segment[i * 4096 + 1] = (uint8_t)i;
	for (i = 0; i < 50 * 4096; i++)
		rig.segment[110 * 4096 + i] = (uint8_t)(i | 1) % 199;
	OK(sm_unlock(rig.file));
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_release_fails_the_next_lock_and_voids_the_replica),
		cmocka_unit_test(a_refusal_is_matched_to_its_file),
		cmocka_unit_test(a_refusal_is_reported_by_close_if_by_no_call_before),
		cmocka_unit_test(with_leases_unlock_waits_and_fails_itself),
		cmocka_unit_test(closing_a_holder_releases_and_publishes_nothing),
		cmocka_unit_test(two_ends_that_both_write_do_not_block_each_other),
		cmocka_unit_test(large_grants_and_many_pieces_arrive_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
