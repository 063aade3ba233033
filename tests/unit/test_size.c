/* Numbers of bytes in an operator's notation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "common/base/size.h"
#include "common/wire/protocol.h"

enum { UNTOUCHED = 4711 };

/* Parses; also checks that size_parse() leaves its output alone when it fails. */
static int
parse(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	int r;

	*out = UNTOUCHED;
	r = size_parse(text, least, most, out);
	if (r != 0)
		assert_int_equal(*out, UNTOUCHED);
	return r;
}

static void
suffixes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} rows[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "007", 7 },
		{ "4096", 4096 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "3M", 3 << 20 },
		{ "3m", 3 << 20 },
		{ "2G", UINT64_C(2) << 30 },
		{ "2g", UINT64_C(2) << 30 },
		{ "0G", 0 },
		{ "18446744073709551615", UINT64_MAX },
		{ "18014398509481983K", UINT64_MAX - 1023 },
		{ "17179869183G", UINT64_MAX - (1 << 30) + 1 },
	};
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(parse(rows[i].text, 0, UINT64_MAX, &value), 0);
		assert_true(value == rows[i].value);
	}
}

static void
what_is_no_number_is_einval(void **state)
{
	static const char *const texts[] = { "", " ", "K", "-1", "+1", " 1", "1 ", "1KB", "1KK",
		"1T", "0x10", "1.5K", "1,000", "ten", "\x80", "1\xff" };
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(parse(texts[i], 0, UINT64_MAX, &value), -EINVAL);
}

static void
limits_are_inclusive(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(parse("9", 10, 20, &value), -ERANGE);
	assert_int_equal(parse("10", 10, 20, &value), 0);
	assert_int_equal(parse("20", 10, 20, &value), 0);
	assert_int_equal(parse("21", 10, 20, &value), -ERANGE);
	assert_int_equal(parse("2G", 1, PROTOCOL_SEGMENT_MOST, &value), 0);
	assert_int_equal(parse("2147483649", 1, PROTOCOL_SEGMENT_MOST, &value), -ERANGE);
}

/* A number that does not fit 64 bits, before or after its suffix, does not wrap to a small one. */
static void
overflow_is_erange(void **state)
{
	static const char *const texts[] = { "18446744073709551616", "99999999999999999999999999",
		"18014398509481984K", "17592186044416M", "17179869184G", "18446744073709551615G" };
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(parse(texts[i], 0, UINT64_MAX, &value), -ERANGE);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(suffixes_are_powers_of_1024),
		cmocka_unit_test(what_is_no_number_is_einval),
		cmocka_unit_test(limits_are_inclusive),
		cmocka_unit_test(overflow_is_erange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
