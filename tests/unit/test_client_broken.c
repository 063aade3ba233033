/* Malformed and incomplete replies: nothing is touched, nothing hangs (PROTOCOL 5, DESIGN 7). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "tests/unit/rig.h"

/* Grants that cannot be applied whole touch nothing. */

static const char *bad_grant;

/* A section that brings version 9, and the ACQUIRE of the next one. */
static void
serve_good_section(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", "0000000000000009 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000009");
}

static void
serve_bad_grant(void)
{
	serve_good_section();
	rig_answer(0, bad_grant);
	rig_take(OP_RELEASE, "00000007 000000000000000a 01 00000000");
	rig_grant(U64_0, "000000000000000b", "0000000000000009 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 000000000000000b 01 00000000");
}

static void
a_delta_out_of_range_touches_nothing(void **state)
{
#define HEAD "000000000000000a 000000000000000a "
	const char *bad[] = {
		/* beyond the end; by one; an offset beyond it; a length that wraps */
		HEAD "00000001 00003004 00000002 7878",
		HEAD "00000001 00003005 00000001 78",
		HEAD "00000001 fffffff0 00000001 78",
		HEAD "00000001 00000001 ffffffff 78",
		/* a good piece first, then an empty one, one that overlaps, one that descends */
		HEAD "00000002 00000000 00000001 78 00000001 00000000",
		HEAD "00000002 00000000 00000002 7878 00000001 00000001 78",
		HEAD "00000002 00001000 00000001 78 00000000 00000001 78",
		/* fewer and more than the count says; half a count */
		HEAD "00000002 00000000 00000001 78",
		HEAD "00000001 00000000 00000001 78 78",
		HEAD "0000",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		bad_grant = bad[i];
		rig_begin(serve_bad_grant);
		OK(sm_lock(rig.file));
		OK(sm_unlock(rig.file));
		FAILS(sm_lock(rig.file), EPROTO);
		assert_memory_equal(rig.segment, "ok", 3);
		FAILS(sm_unlock(rig.file), ENOLCK);
		OK(sm_lock(rig.file));
		assert_memory_equal(rig.segment, "ok", 3);
		OK(sm_unlock(rig.file));
		rig_end();
	}
}

/* Replies that end the connection. */

static uint16_t bad_tag;
static uint32_t bad_status;

static void
serve_bad_reply(void)
{
	serve_good_section();
	rig_answer_tag(rig.tag ^ bad_tag, bad_status, bad_grant);
	rig_take_end();
}

static void
expect_broken(uint16_t tag, uint32_t status, const char *body)
{
	bad_tag = tag;
	bad_status = status;
	bad_grant = body;
	rig_begin(serve_bad_reply);
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	FAILS(sm_lock(rig.file), EPROTO);
	assert_memory_equal(rig.segment, "ok", 3);
	FAILS(sm_lock(rig.file), ENOTCONN);
	rig_end();
}

static void
a_malformed_reply_ends_the_connection(void **state)
{
	static char large[2 * (RIG_SEGMENT + 200) + 1];

	(void)state;
	expect_broken(1, 0, "000000000000000a 0000000000000009 00000000");
	expect_broken(0x8000, 0, "");
	expect_broken(0x8100, 116, "");
	expect_broken(0, 11, "00");
	expect_broken(0, 0, "");
	expect_broken(0, 0, "000000000000000a 0000000000000009");
	expect_broken(0, 0, "000000000000000a 00000000000000");
	expect_broken(0, 0, "000000000000000a 0000000000000008 00000000");
	memset(large, '0', sizeof large - 1);
	expect_broken(0, 0, large);
}

static void
serve_success_of_a_one_way_release(void)
{
	uint16_t release;

	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0);
	rig_answer_tag(release, bad_status, bad_grant);
	rig_take_end();
}

static void
a_one_way_release_is_answered_by_an_empty_failure_only(void **state)
{
	int with_body;

	(void)state;
	for (with_body = 0; with_body < 2; with_body++) {
		bad_status = with_body ? 116 : 0;
		bad_grant = with_body ? "0000000000000001" : "";
		rig_begin(serve_success_of_a_one_way_release);
		OK(sm_lock(rig.file));
		OK(sm_unlock(rig.file));
		FAILS(sm_lock(rig.file), EPROTO);
		rig_end();
	}
}

/* A reply of which only some bytes arrive. */

static uint8_t reply[64];
static size_t reply_size, reply_cut;
static bool is_slow;

static void
serve_a_cut_reply(void)
{
	size_t i;

	rig_greet();
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0);
	reply_size = rig_unhex(reply + FRAME_HEADER_SIZE,
	    "0000000000000001 0000000000000001 00000001 00000000 00000002 6f6b");
	frame_put(reply, (struct frame){ frame_tagged(rig.tag, 0), (uint32_t)reply_size });
	reply_size += FRAME_HEADER_SIZE;
	for (i = 0; is_slow && i < reply_size; i++) {
		rig_write(reply + i, 1);
		usleep(1000);
	}
	if (is_slow) {
		rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
		return;
	}
	rig_write(reply, reply_cut);
	rig_hang_up();
	/* Opening again makes a new connection. */
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
}

static void
a_reply_in_single_bytes_is_a_reply(void **state)
{
	(void)state;
	is_slow = true;
	rig_begin(serve_a_cut_reply);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	OK(sm_unlock(rig.file));
	rig_end();
	is_slow = false;
}

static void
a_server_that_closes_at_any_byte_is_econnreset_then_enotconn(void **state)
{
	struct sm_file *again;
	uint8_t *other;
	struct sm_stat st;

	(void)state;
	for (reply_cut = 0; reply_cut < FRAME_HEADER_SIZE + 30; reply_cut++) {
		rig_begin(serve_a_cut_reply);
		rig.segment[9] = 'w';
		FAILS(sm_lock(rig.file), ECONNRESET);
		assert_int_equal(rig.segment[0], 0);
		assert_int_equal(rig.segment[9], 'w');
		FAILS(sm_lock(rig.file), ENOTCONN);
		FAILS(sm_rdlock(rig.file), ENOTCONN);
		FAILS(sm_trylock(rig.file), ENOTCONN);
		FAILS(sm_stat(rig.file, &st), ENOTCONN);
		FAILS(sm_unlock(rig.file), ENOLCK);
		again = sm_open(rig.sm, "/m/f");
		assert_non_null(again);
		other = sm_map(again, NULL, RIG_SEGMENT);
		assert_non_null(other);
		assert_ptr_not_equal(other, rig.segment);
		OK(sm_lock(again));
		OK(sm_unlock(again));
		FAILS(sm_lock(rig.file), ENOTCONN);
		assert_int_equal(rig.segment[9], 'w');
		OK(sm_close(rig.file));
		FAILS(sm_unmap(rig.sm, rig.segment), ENOTCONN);
		rig_end();
	}
}

static void
serve_death_in_an_open(void)
{
	rig_greet();
	rig_take(OP_OPEN, "00000002 2f67");
	rig_hang_up();
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f67", "00000003");
	rig_take(OP_ACQUIRE, "00000003 01 " FOREVER " " U64_0);
	rig_answer(0, "0000000000000001 " U64_0);
}

/* The end of the old connection does not fail the open: it connects again. */
static void
an_open_over_a_dying_connection_connects_again(void **state)
{
	struct sm_file *other;

	(void)state;
	rig_begin(serve_death_in_an_open);
	other = rig_open_other();
	FAILS(sm_lock(rig.file), ENOTCONN);
	OK(sm_lock(other));
	rig_end();
}

static void
serve_death_in_a_section(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_hang_up();
}

static void
a_server_that_dies_in_a_section_fails_the_unlock(void **state)
{
	(void)state;
	rig_begin(serve_death_in_a_section);
	OK(sm_lock(rig.file));
	rig_wait();
	rig.segment[0] = 'X';
	FAILS(sm_unlock(rig.file), ECONNRESET);
	FAILS(sm_unlock(rig.file), ENOLCK);
	FAILS(sm_lock(rig.file), ENOTCONN);
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delta_out_of_range_touches_nothing),
		cmocka_unit_test(a_malformed_reply_ends_the_connection),
		cmocka_unit_test(a_one_way_release_is_answered_by_an_empty_failure_only),
		cmocka_unit_test(a_reply_in_single_bytes_is_a_reply),
		cmocka_unit_test(a_server_that_closes_at_any_byte_is_econnreset_then_enotconn),
		cmocka_unit_test(an_open_over_a_dying_connection_connects_again),
		cmocka_unit_test(a_server_that_dies_in_a_section_fails_the_unlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
