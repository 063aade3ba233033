/* The queue of bytes: first in, first out, across growing and moving. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "tests/unit/aborts.h"

static void
zeroed_buf_is_empty_and_valid(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_size(&b), 0);
	buf_consume(&b, 0);
	buf_commit(&b, 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	buf_trim(&b, 0);
	buf_fini(&b);
	buf_fini(&b);
	assert_int_equal(buf_append(&b, "a", 1), 0);
	assert_int_equal(buf_size(&b), 1);
	buf_fini(&b);
	assert_int_equal(buf_size(&b), 0);
}

static void
reserving_nothing_in_an_empty_buf_is_harmless(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_reserve(&b, 0);
	buf_commit(&b, 0);
	assert_int_equal(buf_size(&b), 0);
	buf_fini(&b);
}

static void
reserved_bytes_count_when_committed(void **state)
{
	struct buf b = { 0 };
	uint8_t *room;

	(void)state;
	room = buf_reserve(&b, 100);
	assert_non_null(room);
	memset(room, 'r', 100);
	assert_int_equal(buf_size(&b), 0);
	buf_commit(&b, 60);
	assert_int_equal(buf_size(&b), 60);
	assert_ptr_equal(buf_data(&b), room);
	buf_fini(&b);
}

/*
 * Any mix of sizes, put in and taken out at different paces, comes out in the order it went in. The
 * sequence is fixed, so a failure repeats.
 */
static void
bytes_come_out_in_the_order_they_went_in(void **state)
{
	struct buf b = { 0 };
	uint32_t random = 1, in = 0, out = 0;
	size_t i, size;
	int round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		random = random * 1664525 + 1013904223;
		size = random >> 20 & (random >> 16 & 1 ? 0xfff : 0x1f);
		if (random >> 31) {
			uint8_t *room = buf_reserve(&b, size + 1);

			assert_non_null(room);
			for (i = 0; i <= size; i++)
				room[i] = (uint8_t)(in++ * 7);
			buf_commit(&b, size + 1);
		} else {
			if (size > buf_size(&b))
				size = buf_size(&b);
			for (i = 0; i < size; i++)
				if (buf_data(&b)[i] != (uint8_t)(out + i) * 7 % 256)
					fail_msg("round %d: byte %zu is %u", round, i,
					    buf_data(&b)[i]);
			buf_consume(&b, size);
			out += (uint32_t)size;
		}
		assert_int_equal(buf_size(&b), in - out);
	}
	assert_true(out > 100000);
	buf_fini(&b);
}

/* Used as a pipe, a buf does not grow: consumed room is used again. */
static void
consumed_room_is_used_again(void **state)
{
	static const uint8_t bytes[100];
	struct buf b = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		assert_int_equal(buf_append(&b, bytes, sizeof bytes), 0);
		assert_int_equal(buf_append(&b, bytes, 17), 0);
		buf_consume(&b, sizeof bytes + 17);
	}
	assert_true(b.capacity <= 1024);
	buf_fini(&b);
}

static void
append_copies_across_growing(void **state)
{
	struct buf b = { 0 };
	uint8_t *big = malloc(300000);

	(void)state;
	assert_non_null(big);
	memset(big, 'b', 300000);
	assert_int_equal(buf_append(&b, "head", 4), 0);
	buf_consume(&b, 1);
	assert_int_equal(buf_append(&b, big, 300000), 0);
	assert_int_equal(buf_size(&b), 300003);
	assert_memory_equal(buf_data(&b), "eadb", 4);
	assert_memory_equal(buf_data(&b) + 3, big, 300000);
	free(big);
	buf_fini(&b);
}

/* A size that wraps gets no room and leaves the buf as it was. */
static void
impossible_sizes_are_refused(void **state)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 255, SIZE_MAX / 2,
		SIZE_MAX / 2 + 1 };
	struct buf b = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(buf_append(&b, "as it was", 9), 0);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_null(buf_reserve(&b, sizes[i]));
		assert_int_equal(buf_append(&b, "", sizes[i]), -ENOMEM);
		assert_int_equal(buf_size(&b), 9);
		assert_memory_equal(buf_data(&b), "as it was", 9);
	}
	buf_fini(&b);
}

static void
trim_gives_back_the_storage_of_an_empty_buf_only(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_non_null(buf_reserve(&b, 100000));
	buf_commit(&b, 10);
	buf_trim(&b, 0);
	assert_int_equal(buf_size(&b), 10);
	assert_true(b.capacity >= 100000);
	buf_consume(&b, 10);
	buf_trim(&b, b.capacity);
	assert_true(b.capacity >= 100000);
	buf_trim(&b, b.capacity - 1);
	assert_int_equal(b.capacity, 0);
	assert_int_equal(buf_append(&b, "again", 5), 0);
	assert_memory_equal(buf_data(&b), "again", 5);
	buf_fini(&b);
}

/* Misuse by our own code stops the program at once, in release builds too (STYLE 6). */

static void
commit_too_much(void *unused)
{
	struct buf b = { 0 };

	(void)unused;
	buf_append(&b, "abc", 3);
	buf_commit(&b, b.capacity - 2);
}

static void
consume_too_much(void *unused)
{
	struct buf b = { 0 };

	(void)unused;
	buf_append(&b, "abc", 3);
	buf_consume(&b, 4);
}

static void
commit_of_more_than_was_reserved_aborts(void **state)
{
	(void)state;
	assert_true(aborts_in(commit_too_much, NULL));
}

static void
consume_of_more_than_there_is_aborts(void **state)
{
	(void)state;
	assert_true(aborts_in(consume_too_much, NULL));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_buf_is_empty_and_valid),
		cmocka_unit_test(reserving_nothing_in_an_empty_buf_is_harmless),
		cmocka_unit_test(reserved_bytes_count_when_committed),
		cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
		cmocka_unit_test(consumed_room_is_used_again),
		cmocka_unit_test(append_copies_across_growing),
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(trim_gives_back_the_storage_of_an_empty_buf_only),
		cmocka_unit_test(commit_of_more_than_was_reserved_aborts),
		cmocka_unit_test(consume_of_more_than_there_is_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
