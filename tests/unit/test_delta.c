/* The delta of smdish (PROTOCOL 5.7): ascending, disjoint, inside the segment, or refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/wire/delta.h"
#include "common/wire/wire.h"

enum { SEGMENT = 10000 };

static uint8_t message[256];
static struct wire_writer writer;
static struct wire_reader reader;
static struct delta delta;

static void
begin_message(uint32_t count)
{
	memset(message, 'x', sizeof message);
	writer = wire_writer(message, sizeof message);
	wire_put_u32(&writer, count);
}

/* Puts a piece that declares length bytes and has present bytes. */
static void
put_piece(uint32_t offset, uint32_t length, size_t present)
{
	wire_put_u32(&writer, offset);
	wire_put_u32(&writer, length);
	wire_put_room(&writer, present);
	assert_false(writer.failed);
}

/* Begins to read the message, cut short by that many bytes. */
static void
read_message_of(uint32_t segment_size, size_t cut)
{
	reader = wire_reader(message, sizeof message - writer.left - cut);
	delta_begin(&delta, &reader, segment_size);
}

static void
read_message(uint32_t segment_size)
{
	read_message_of(segment_size, 0);
}

/* Returns the result of delta_next() for a second piece, after one of the bytes 4096 to 4105. */
static int
second_piece(uint32_t offset, uint32_t length)
{
	struct delta_piece piece;

	begin_message(2);
	put_piece(4096, 10, 10);
	put_piece(offset, length, length > 100 ? 100 : length);
	read_message(SEGMENT);
	assert_int_equal(delta_next(&delta, &piece), 1);
	return delta_next(&delta, &piece);
}

/* Returns its result for the only piece of a delta, for a segment of size bytes. */
static int
only_piece(uint32_t size, uint32_t offset, uint32_t length)
{
	struct delta_piece piece;

	begin_message(1);
	put_piece(offset, length, length > 100 ? 100 : length);
	read_message(size);
	return delta_next(&delta, &piece);
}

static void
pieces_come_as_they_were_sent(void **state)
{
	struct delta_piece piece;

	(void)state;
	begin_message(3);
	put_piece(0, 1, 1);
	put_piece(1, 2, 2);
	put_piece(SEGMENT - 3, 3, 3);
	memcpy(message + 4 + 8, "a", 1);
	memcpy(message + 4 + 9 + 8, "bc", 2);
	memcpy(message + 4 + 9 + 10 + 8, "def", 3);
	read_message(SEGMENT);
	assert_int_equal(delta_next(&delta, &piece), 1);
	assert_int_equal(piece.offset, 0);
	assert_int_equal(piece.length, 1);
	assert_memory_equal(piece.bytes, "a", 1);
	assert_int_equal(delta_next(&delta, &piece), 1);
	assert_int_equal(piece.offset, 1);
	assert_int_equal(piece.length, 2);
	assert_memory_equal(piece.bytes, "bc", 2);
	assert_int_equal(delta_next(&delta, &piece), 1);
	assert_int_equal(piece.offset, SEGMENT - 3);
	assert_memory_equal(piece.bytes, "def", 3);
	assert_int_equal(delta_next(&delta, &piece), 0);
	assert_int_equal(delta_next(&delta, &piece), 0);
	assert_true(wire_is_done(&reader));
}

static void
empty_delta_has_no_pieces(void **state)
{
	struct delta_piece piece = { .offset = 77 };

	(void)state;
	begin_message(0);
	read_message(SEGMENT);
	assert_int_equal(delta_next(&delta, &piece), 0);
	assert_int_equal(piece.offset, 77);
	assert_true(wire_is_done(&reader));
}

static void
missing_count_is_eproto(void **state)
{
	struct delta_piece piece;
	size_t cut;

	(void)state;
	for (cut = 1; cut <= 4; cut++) {
		begin_message(0);
		read_message_of(SEGMENT, cut);
		assert_int_equal(delta_next(&delta, &piece), -EPROTO);
	}
}

/* Wherever the message is cut, the second piece is EPROTO, and the caller's piece is untouched. */
static void
short_message_is_eproto(void **state)
{
	struct delta_piece piece;
	size_t cut;

	(void)state;
	for (cut = 1; cut <= 18; cut++) {
		begin_message(2);
		put_piece(0, 5, 5);
		put_piece(5, 10, 10);
		read_message_of(SEGMENT, cut);
		assert_int_equal(delta_next(&delta, &piece), 1);
		piece.offset = 77;
		assert_int_equal(delta_next(&delta, &piece), -EPROTO);
		assert_int_equal(piece.offset, 77);
		assert_int_equal(delta_next(&delta, &piece), -EPROTO);
	}
}

static void
lying_count_is_eproto(void **state)
{
	struct delta_piece piece;

	(void)state;
	begin_message(UINT32_MAX);
	put_piece(0, 1, 1);
	read_message(SEGMENT);
	assert_int_equal(delta_next(&delta, &piece), 1);
	assert_int_equal(delta_next(&delta, &piece), -EPROTO);
}

static void
lying_length_is_eproto(void **state)
{
	(void)state;
	assert_int_equal(only_piece(SEGMENT, 0, 101), -EPROTO);
	assert_int_equal(only_piece(SEGMENT, 0, UINT32_MAX), -EPROTO);
	assert_int_equal(only_piece(SEGMENT, UINT32_MAX, UINT32_MAX), -EPROTO);
}

static void
empty_piece_is_einval(void **state)
{
	(void)state;
	assert_int_equal(only_piece(SEGMENT, 0, 0), -EINVAL);
	assert_int_equal(only_piece(SEGMENT, SEGMENT, 0), -EINVAL);
}

static void
piece_out_of_range_is_einval(void **state)
{
	(void)state;
	assert_int_equal(only_piece(SEGMENT, SEGMENT - 100, 100), 1);
	assert_int_equal(only_piece(SEGMENT, SEGMENT - 99, 100), -EINVAL);
	assert_int_equal(only_piece(SEGMENT, SEGMENT, 1), -EINVAL);
	assert_int_equal(only_piece(SEGMENT, SEGMENT + 1, 1), -EINVAL);
	assert_int_equal(only_piece(SEGMENT, UINT32_MAX, 1), -EINVAL);
	/* offset + length wraps to a small number */
	assert_int_equal(only_piece(SEGMENT, UINT32_MAX - 50, 100), -EINVAL);
	assert_int_equal(only_piece(99, 0, 100), -EINVAL);
	assert_int_equal(only_piece(0, 0, 1), -EINVAL);
	assert_int_equal(only_piece(UINT32_MAX, UINT32_MAX - 1, 1), 1);
}

static void
pieces_that_overlap_or_go_back_are_einval(void **state)
{
	(void)state;
	assert_int_equal(second_piece(4106, 10), 1);
	assert_int_equal(second_piece(4105, 10), -EINVAL);
	assert_int_equal(second_piece(4096, 10), -EINVAL);
	assert_int_equal(second_piece(4095, 1), -EINVAL);
	assert_int_equal(second_piece(0, 1), -EINVAL);
	assert_int_equal(second_piece(0, 100), -EINVAL);
}

static void
what_follows_a_delta_is_left_in_the_reader(void **state)
{
	struct delta_piece piece;

	(void)state;
	begin_message(1);
	put_piece(3, 1, 1);
	wire_put_u8(&writer, 42);
	read_message(SEGMENT);
	assert_int_equal(delta_next(&delta, &piece), 1);
	assert_int_equal(delta_next(&delta, &piece), 0);
	assert_false(wire_is_done(&reader));
	assert_int_equal(wire_get_u8(&reader), 42);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_come_as_they_were_sent),
		cmocka_unit_test(empty_delta_has_no_pieces),
		cmocka_unit_test(missing_count_is_eproto),
		cmocka_unit_test(short_message_is_eproto),
		cmocka_unit_test(lying_count_is_eproto),
		cmocka_unit_test(lying_length_is_eproto),
		cmocka_unit_test(empty_piece_is_einval),
		cmocka_unit_test(piece_out_of_range_is_einval),
		cmocka_unit_test(pieces_that_overlap_or_go_back_are_einval),
		cmocka_unit_test(what_follows_a_delta_is_left_in_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
