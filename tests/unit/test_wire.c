/*
 * The bounded cursor, the frame header and the table of operations against a lying peer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "common/wire/delta.h"
#include "common/wire/frame.h"
#include "common/wire/inspect.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

static void
integers_are_read_big_endian(void **state)
{
	static const uint8_t bytes[] = { 0xfe, 0xfd, 0xfc, 0x01, 0x02, 0x03, 0x04, 0x80, 1, 2, 3, 4,
		5, 6, 7 };
	struct wire_reader r = wire_reader(bytes, sizeof bytes);

	(void)state;
	assert_int_equal(wire_get_u8(&r), 0xfe);
	assert_int_equal(wire_get_u16(&r), 0xfdfc);
	assert_int_equal(wire_get_u32(&r), 0x01020304);
	assert_false(wire_is_done(&r));
	assert_true(wire_get_u64(&r) == UINT64_C(0x8001020304050607));
	assert_true(wire_is_done(&r));
}

static void
integers_are_written_big_endian(void **state)
{
	static const uint8_t expected[] = { 0xfe, 0xfd, 0xfc, 1, 2, 3, 4, 0x80, 1, 2, 3, 4, 5, 6, 7,
		'x', 'y' };
	uint8_t bytes[sizeof expected];
	struct wire_writer w = wire_writer(bytes, sizeof bytes);

	(void)state;
	wire_put_u8(&w, 0xfe);
	wire_put_u16(&w, 0xfdfc);
	wire_put_u32(&w, 0x01020304);
	wire_put_u64(&w, UINT64_C(0x8001020304050607));
	wire_put_bytes(&w, "xy", 2);
	assert_false(w.failed);
	assert_int_equal(w.left, 0);
	assert_memory_equal(bytes, expected, sizeof expected);
}

/* Each get, on a message one byte too short: zero, failed, and nothing taken. */
static void
read_past_the_end_gives_zero_and_fails(void **state)
{
	static const uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	size_t size;

	(void)state;
	for (size = 0; size < sizeof ones; size++) {
		struct wire_reader r8 = wire_reader(ones, 0);
		struct wire_reader r32 = wire_reader(ones, size);
		struct wire_reader r64 = wire_reader(ones, size);

		assert_int_equal(wire_get_u8(&r8), 0);
		assert_true(r8.failed);
		if (size < 4) {
			assert_int_equal(wire_get_u32(&r32), 0);
			assert_true(r32.failed);
		}
		assert_true(wire_get_u64(&r64) == 0);
		assert_true(r64.failed);
		assert_false(wire_is_done(&r64));
	}
}

static void
failed_reader_stays_failed(void **state)
{
	static const uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct wire_reader r = wire_reader(bytes, sizeof bytes);

	(void)state;
	assert_true(wire_get_u64(&r) == 0);
	/* These would fit without the earlier failure. */
	assert_int_equal(wire_get_u8(&r), 0);
	assert_int_equal(wire_get_u32(&r), 0);
	assert_null(wire_get_bytes(&r, 1));
	assert_null(wire_get_bytes(&r, 0));
	assert_true(r.failed);
	assert_false(wire_is_done(&r));
}

static void
bytes_are_returned_in_place(void **state)
{
	static const uint8_t bytes[] = "0123456789";
	struct wire_reader r = wire_reader(bytes, 10);

	(void)state;
	assert_ptr_equal(wire_get_bytes(&r, 4), bytes);
	assert_ptr_equal(wire_get_bytes(&r, 0), bytes + 4);
	assert_ptr_equal(wire_get_bytes(&r, 6), bytes + 4);
	assert_true(wire_is_done(&r));
}

/* A length from a peer, however large, never reaches beyond the message. */
static void
lying_lengths_do_not_wrap(void **state)
{
	static const size_t lies[] = { 5, UINT32_MAX, SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2 + 1 };
	static const uint8_t bytes[4] = { 9, 9, 9, 9 };
	uint8_t out[4] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct wire_reader r = wire_reader(bytes, sizeof bytes);
		struct wire_writer w = wire_writer(out, sizeof out);

		assert_null(wire_get_bytes(&r, lies[i]));
		assert_true(r.failed);
		assert_null(wire_put_room(&w, lies[i]));
		assert_true(w.failed);
	}
}

static void
empty_message_at_null_is_done(void **state)
{
	struct wire_reader r = wire_reader(NULL, 0);

	(void)state;
	assert_true(wire_is_done(&r));
	wire_get_bytes(&r, 0);
	assert_true(wire_is_done(&r));
	assert_int_equal(wire_get_u8(&r), 0);
	assert_false(wire_is_done(&r));
}

/* Each put, with one byte too little room: failed, for good, and the next byte untouched. */
static void
write_past_the_end_fails_and_writes_nothing(void **state)
{
	uint8_t out[9];
	struct wire_writer w;

	(void)state;
	memset(out, 0xaa, sizeof out);
	w = wire_writer(out, 7);
	wire_put_u64(&w, 1);
	assert_true(w.failed);
	w = wire_writer(out, 3);
	wire_put_u32(&w, 1);
	assert_true(w.failed);
	w = wire_writer(out, 0);
	wire_put_u8(&w, 1);
	assert_true(w.failed);
	w = wire_writer(out, 2);
	wire_put_bytes(&w, "abc", 3);
	assert_true(w.failed);
	wire_put_u8(&w, 1);
	wire_put_bytes(&w, "a", 1);
	assert_null(wire_put_room(&w, 1));
	assert_null(wire_put_room(&w, 0));
	assert_true(w.failed);
	assert_int_equal(out[0], 0xaa);
	assert_int_equal(out[8], 0xaa);
}

static void
room_is_in_place_and_bounded(void **state)
{
	uint8_t out[8];
	struct wire_writer w = wire_writer(out, sizeof out);

	(void)state;
	assert_ptr_equal(wire_put_room(&w, 8), out);
	assert_false(w.failed);
	wire_put_bytes(&w, NULL, 0);
	assert_false(w.failed);
	assert_null(wire_put_room(&w, 1));
	assert_true(w.failed);
}

static void
frame_header_is_code_then_size(void **state)
{
	static const uint8_t expected[FRAME_HEADER_SIZE] = { 0xff, 0xfe, 0, 17, 0xff, 0xff, 0xff,
		0xfd };
	uint8_t header[FRAME_HEADER_SIZE];
	struct frame f = { .code = 0xfffe0011, .body_size = 0xfffffffd };

	(void)state;
	frame_put(header, f);
	assert_memory_equal(header, expected, sizeof expected);
	f = frame_get(header);
	assert_int_equal(f.code, 0xfffe0011);
	assert_int_equal(f.body_size, 0xfffffffd);
}

static void
tag_is_the_upper_half_of_the_code(void **state)
{
	(void)state;
	assert_int_equal(frame_tagged(0, 17), 17);
	assert_int_equal(frame_tagged(0xffff, 17), 0xffff0011);
	assert_int_equal(frame_tagged(1, 0xffffffff), 0x0001ffff);
	assert_int_equal(frame_tag(0xfffe0011), 0xfffe);
	assert_int_equal(frame_untagged(0xfffe0011), 17);
}

/* PROTOCOL 5: operations 5 and 6 are ENOSYS after HELLO, 17 and above before it. */
static void
versions_know_their_operations(void **state)
{
	static const struct {
		uint32_t op;
		bool in_1, in_2;
		const char *name;
	} rows[] = {
		{ 0, true, true, "NEW_FDTABLE" },
		{ 1, true, true, "FORK" },
		{ 2, true, true, "CHILD_ATTACH" },
		{ 3, true, true, "OPEN" },
		{ 4, true, true, "CLOSE" },
		{ 5, true, false, "LOCK" },
		{ 6, true, false, "UNLOCK" },
		{ 7, true, true, "MMAP" },
		{ 8, false, false, "?" },
		{ 15, false, false, "?" },
		{ 16, true, true, "HELLO" },
		{ 17, false, true, "ACQUIRE" },
		{ 18, false, true, "RELEASE" },
		{ 19, false, true, "CANCEL" },
		{ 20, false, true, "STAT" },
		{ 21, false, false, "?" },
		{ 22, false, true, "INSPECT" },
		{ 23, false, true, "OPEN2" },
		{ 24, false, true, "PROCESS" },
		{ 25, false, false, "?" },
		{ 0x10000, false, false, "?" },
		{ UINT32_MAX, false, false, "?" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(protocol_has_op(rows[i].op, PROTOCOL_VERSION_1), rows[i].in_1);
		assert_int_equal(protocol_has_op(rows[i].op, PROTOCOL_VERSION_2), rows[i].in_2);
		assert_string_equal(protocol_op_name(rows[i].op), rows[i].name);
	}
}

static void
stat_is_in_the_order_of_the_wire(void **state)
{
	static const struct protocol_stat stat = { .life = 1,
		.size = 2,
		.committed = 3,
		.type = 4,
		.version = 5,
		.open_count = 6,
		.waiters = 7,
		.grants = 8 };
	static const uint8_t expected[PROTOCOL_STAT_SIZE] = { [7] = 1,
		[15] = 2,
		[23] = 3,
		[24] = 4,
		[32] = 5,
		[36] = 6,
		[40] = 7,
		[48] = 8 };
	uint8_t bytes[PROTOCOL_STAT_SIZE];
	struct wire_writer w = wire_writer(bytes, sizeof bytes);
	struct wire_reader r = wire_reader(bytes, sizeof bytes);
	struct protocol_stat back;

	(void)state;
	protocol_put_stat(&w, &stat);
	assert_false(w.failed);
	assert_int_equal(w.left, 0);
	assert_memory_equal(bytes, expected, sizeof expected);
	protocol_get_stat(&r, &back);
	assert_true(wire_is_done(&r));
	assert_true(back.life == 1 && back.size == 2 && back.committed == 3 && back.type == 4);
	assert_true(
	    back.version == 5 && back.open_count == 6 && back.waiters == 7 && back.grants == 8);
}

/* A sender makes at most one piece a block; so no release and no grant exceeds the largest body. */
/* The record of a session, with extra bytes that this version does not know. Returns its size. */
static size_t
put_a_session(uint8_t *out, size_t size, uint16_t extra)
{
	static const struct inspect_session s = { .key = 1,
		.age_ms = 2,
		.version = 3,
		.descriptors = 4,
		.held = 5,
		.waiting = 6,
		.requests = 7,
		.bytes_in = 8,
		.bytes_out = 9,
		.memory = 10,
		.unsent = 11,
		.longest_turn_us = 12,
		.peer = { "one", 3 },
		.address = { "", 0 } };
	struct wire_writer w = wire_writer(out, size), length = wire_writer(out, 2);

	inspect_put_session(&w, &s);
	assert_false(w.failed);
	size -= w.left;
	assert_int_equal(out[0] << 8 | out[1], size - 2);
	wire_put_u16(&length, (uint16_t)(size - 2 + extra));
	memset(w.next, 0xff, extra);
	return size + extra;
}

static void
a_record_of_inspect_is_read_as_it_was_written_and_unknown_fields_are_skipped(void **state)
{
	struct inspect_session s;
	struct wire_reader r;
	uint8_t bytes[256];
	uint16_t extra;

	(void)state;
	for (extra = 0; extra < 20; extra++) {
		r = wire_reader(bytes, put_a_session(bytes, sizeof bytes, extra));
		inspect_get_session(&r, &s);
		assert_true(wire_is_done(&r));
		assert_int_equal(s.key, 1);
		assert_int_equal(s.age_ms, 2);
		assert_int_equal(s.version, 3);
		assert_int_equal(s.descriptors, 4);
		assert_int_equal(s.held, 5);
		assert_int_equal(s.waiting, 6);
		assert_int_equal(s.requests, 7);
		assert_int_equal(s.bytes_in, 8);
		assert_int_equal(s.bytes_out, 9);
		assert_int_equal(s.memory, 10);
		assert_int_equal(s.unsent, 11);
		assert_int_equal(s.longest_turn_us, 12);
		assert_int_equal(s.peer.size, 3);
		assert_memory_equal(s.peer.data, "one", 3);
		assert_int_equal(s.address.size, 0);
	}
}

static void
a_reload_is_read_as_it_was_written_and_fails_when_it_is_short(void **state)
{
	const struct inspect_reload l = { 3, 1, 4, 5, 6, { "why", 3 } };
	struct inspect_reload back;
	struct wire_writer w;
	struct wire_reader r;
	uint8_t bytes[64];
	size_t size, i;

	(void)state;
	w = wire_writer(bytes, sizeof bytes);
	inspect_put_reload(&w, &l);
	size = sizeof bytes - w.left;
	r = wire_reader(bytes, size);
	inspect_get_reload(&r, &back);
	assert_true(wire_is_done(&r));
	assert_true(back.failed == 3 && back.has_lists == 1 && back.revoked == 4);
	assert_true(back.valid_s == 5 && back.ending == 6 && back.reason.size == 3);
	assert_memory_equal(back.reason.data, "why", 3);
	for (i = 0; i < size; i++) {
		r = wire_reader(bytes, i);
		inspect_get_reload(&r, &back);
		assert_true(r.failed);
	}
}

static void
a_record_of_inspect_that_is_too_short_fails(void **state)
{
	struct inspect_server server;
	struct inspect_session s;
	struct inspect_file f;
	struct wire_reader r;
	uint8_t bytes[256];
	size_t size = put_a_session(bytes, sizeof bytes, 0), i;

	(void)state;
	for (i = 0; i < size; i++) {
		r = wire_reader(bytes, i);
		inspect_get_session(&r, &s);
		assert_true(r.failed);
	}
	/* The message is long enough, but the record says that it is not. */
	for (i = 0; i < size - 2; i++) {
		bytes[1] = (uint8_t)i;
		r = wire_reader(bytes, size);
		inspect_get_session(&r, &s);
		assert_true(r.failed);
	}
	memset(bytes, 0, sizeof bytes);
	bytes[1] = 20;
	r = wire_reader(bytes, sizeof bytes);
	inspect_get_server(&r, &server);
	assert_true(r.failed);
	r = wire_reader(bytes, sizeof bytes);
	inspect_get_file(&r, &f);
	assert_true(r.failed);
}

static void
largest_body_holds_every_delta(void **state)
{
	static const uint32_t limits[] = { 0, 1, 4095, 4096, 4097, 1 << 20, PROTOCOL_SEGMENT_MOST };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		uint64_t delta = DELTA_COUNT_SIZE + (uint64_t)limits[i] +
		    (uint64_t)DELTA_PIECE_HEADER_SIZE * ((limits[i] + UINT64_C(4095)) / 4096);
		uint64_t release = 4 + 8 + 1 + delta;
		uint64_t grant = 8 + 8 + delta;

		assert_true(protocol_largest_body(limits[i]) >= release);
		assert_true(protocol_largest_body(limits[i]) >= grant);
		assert_true(protocol_largest_body(limits[i]) <= delta + 64 ||
		    protocol_largest_body(limits[i]) == PROTOCOL_SMALL_BODY_MOST);
	}
}

static void
blocks_are_counted_to_the_last_byte(void **state)
{
	(void)state;
	assert_int_equal(size_block_count(0), 0);
	assert_int_equal(size_block_count(1), 1);
	assert_int_equal(size_block_count(4096), 1);
	assert_int_equal(size_block_count(4097), 2);
	assert_int_equal(size_block_count(UINT32_MAX), 1 << 20);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_read_big_endian),
		cmocka_unit_test(integers_are_written_big_endian),
		cmocka_unit_test(read_past_the_end_gives_zero_and_fails),
		cmocka_unit_test(failed_reader_stays_failed),
		cmocka_unit_test(bytes_are_returned_in_place),
		cmocka_unit_test(lying_lengths_do_not_wrap),
		cmocka_unit_test(empty_message_at_null_is_done),
		cmocka_unit_test(write_past_the_end_fails_and_writes_nothing),
		cmocka_unit_test(room_is_in_place_and_bounded),
		cmocka_unit_test(frame_header_is_code_then_size),
		cmocka_unit_test(tag_is_the_upper_half_of_the_code),
		cmocka_unit_test(versions_know_their_operations),
		cmocka_unit_test(stat_is_in_the_order_of_the_wire),
		cmocka_unit_test(
		    a_record_of_inspect_is_read_as_it_was_written_and_unknown_fields_are_skipped),
		cmocka_unit_test(a_reload_is_read_as_it_was_written_and_fails_when_it_is_short),
		cmocka_unit_test(a_record_of_inspect_that_is_too_short_fails),
		cmocka_unit_test(largest_body_holds_every_delta),
		cmocka_unit_test(blocks_are_counted_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
