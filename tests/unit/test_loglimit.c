/*
 * The limit of log lines about one peer: a burst, then one a second; nothing withheld goes untold.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/loglimit.h"

enum { NOTHING = 77 };

/* Asks count times at now. Returns how many lines are allowed. */
static unsigned
ask(struct loglimit *l, uint64_t now, unsigned count)
{
	unsigned allowed = 0;
	uint32_t withheld;

	while (count-- > 0)
		allowed += loglimit_may(l, now, &withheld);
	return allowed;
}

static void
a_burst_of_20_then_one_a_second(void **state)
{
	static const uint64_t begins[] = { 0, 1, CLOCK_SEC / 2, 1000000 * CLOCK_SEC };
	struct loglimit l;
	uint64_t now;
	size_t i;
	int second;

	(void)state;
	for (i = 0; i < sizeof begins / sizeof begins[0]; i++) {
		l = (struct loglimit){ 0 };
		now = begins[i];
		assert_int_equal(ask(&l, now, 1000), 20);
		for (second = 0; second < 100; second++) {
			assert_int_equal(ask(&l, now + CLOCK_SEC - 1, 10), 0);
			now += CLOCK_SEC;
			assert_int_equal(ask(&l, now, 10), 1);
		}
	}
}

static void
silence_earns_a_burst_and_no_more(void **state)
{
	struct loglimit l = { 0 };

	(void)state;
	assert_int_equal(ask(&l, CLOCK_SEC, 100), 20);
	assert_int_equal(ask(&l, 8 * CLOCK_SEC, 100), 7);
	assert_int_equal(ask(&l, 28 * CLOCK_SEC, 100), 20);
	assert_int_equal(ask(&l, 1000000 * CLOCK_SEC, 100), 20);
}

static void
a_line_that_is_allowed_tells_how_many_were_withheld(void **state)
{
	struct loglimit l = { 0 };
	uint32_t withheld = NOTHING;

	(void)state;
	assert_true(loglimit_may(&l, CLOCK_SEC, &withheld));
	assert_int_equal(withheld, 0);
	ask(&l, CLOCK_SEC, 19 + 5);
	withheld = NOTHING;
	assert_false(loglimit_may(&l, CLOCK_SEC, &withheld));
	assert_int_equal(withheld, NOTHING);
	assert_true(loglimit_may(&l, 3 * CLOCK_SEC, &withheld));
	assert_int_equal(withheld, 6);
	assert_true(loglimit_may(&l, 3 * CLOCK_SEC, &withheld));
	assert_int_equal(withheld, 0);
	assert_false(loglimit_may(&l, 3 * CLOCK_SEC, &withheld));
}

static void
the_number_withheld_does_not_wrap(void **state)
{
	struct loglimit l = { .paid_until = 100 * CLOCK_SEC, .withheld = UINT32_MAX - 1 };
	uint32_t withheld = 0;

	(void)state;
	assert_int_equal(ask(&l, 0, 3), 0);
	assert_true(loglimit_may(&l, 100 * CLOCK_SEC, &withheld));
	assert_true(withheld == UINT32_MAX);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_of_20_then_one_a_second),
		cmocka_unit_test(silence_earns_a_burst_and_no_more),
		cmocka_unit_test(a_line_that_is_allowed_tells_how_many_were_withheld),
		cmocka_unit_test(the_number_withheld_does_not_wrap),
	};

	return cmocka_run_group_tests_name("loglimit", tests, NULL, NULL);
}
