/* What the quotas leave to whom, and the life of accounts (common/server/core/account). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>

#include <cmocka.h>

#include "common/server/core/account.h"
#include "tests/unit/aborts.h"

static struct accounts all;
static struct account *big, *small;

/* Two accounts, of a server with that limit of ACCOUNT_MEMORY. */
static void
begin(uint64_t limit)
{
	uint64_t limits[ACCOUNT_QUOTAS];
	int i;

	for (i = 0; i < ACCOUNT_QUOTAS; i++)
		limits[i] = i == ACCOUNT_MEMORY ? limit : 7;
	accounts_init(&all, limits);
	assert_int_equal(account_get(&all, "cert big", &big), 0);
	assert_int_equal(account_get(&all, "cert small", &small), 0);
}

static void
end(void)
{
	account_give(big, ACCOUNT_MEMORY, big->used[ACCOUNT_MEMORY]);
	account_give(small, ACCOUNT_MEMORY, small->used[ACCOUNT_MEMORY]);
	assert_int_equal(all.used[ACCOUNT_MEMORY], 0);
	account_put(big);
	account_put(small);
	accounts_fini(&all);
}

/* Takes n; what is used must be what was used, plus n if that was granted. */
static void
take(struct account *a, uint64_t n, int expected)
{
	uint64_t own = a->used[ACCOUNT_MEMORY], total = all.used[ACCOUNT_MEMORY];
	uint64_t more = expected == 0 ? n : 0;
	int error = account_take(a, ACCOUNT_MEMORY, n);

	if (error != expected)
		fail_msg("%s has %llu, all have %llu, and take %llu: expected %d, got %d", a->name,
		    (unsigned long long)own, (unsigned long long)total, (unsigned long long)n,
		    expected, error);
	assert_int_equal(a->used[ACCOUNT_MEMORY], own + more);
	assert_int_equal(all.used[ACCOUNT_MEMORY], total + more);
}

static void
a_name_has_one_account(void **state)
{
	struct account *again;

	(void)state;
	begin(0);
	assert_ptr_not_equal(big, small);
	assert_string_equal(big->name, "cert big");
	assert_int_equal(account_get(&all, "cert big", &again), 0);
	assert_ptr_equal(again, big);
	account_put(again);
	assert_ptr_equal(account_ref(big), big);
	account_put(big);
	account_put(NULL);
	end();
}

static void
an_account_ends_with_its_last_reference_only(void **state)
{
	struct account *again;

	(void)state;
	begin(100);
	account_ref(big);
	take(big, 10, 0);
	account_put(big);
	/* Its work goes on: a newcomer of that name is charged with it. */
	assert_int_equal(account_get(&all, "cert big", &again), 0);
	assert_int_equal(again->used[ACCOUNT_MEMORY], 10);
	account_put(again);
	end();
}

static void
what_one_account_overdraws_is_not_taken_from_the_others(void **state)
{
	(void)state;
	begin(1600);
	take(big, 1500, 0);
	account_overdraw(big, ACCOUNT_MEMORY, 5000);
	take(big, 1, -ENOMEM);
	take(small, 100, 0);
	take(small, 1, -ENOMEM);
	account_give(big, ACCOUNT_MEMORY, 5100);
	take(small, 1, -ENOMEM);
	take(big, 1, -ENOMEM);
	account_give(small, ACCOUNT_MEMORY, 100);
	take(big, 100, 0);
	take(small, 100, 0);
	end();
}

static void
one_account_takes_all_but_a_sixteenth(void **state)
{
	(void)state;
	begin(160);
	take(big, 150, 0);
	take(big, 1, -ENOMEM);
	take(big, 0, 0);
	take(small, 10, 0);
	take(small, 1, -ENOMEM);
	end();
}

static void
one_piece_is_bounded_as_many_are(void **state)
{
	(void)state;
	begin(160);
	take(big, 160, -ENOMEM);
	take(big, 151, -ENOMEM);
	take(big, UINT64_MAX, -ENOMEM);
	take(big, 150, 0);
	take(big, UINT64_MAX, -ENOMEM);
	end();
}

static void
the_last_sixteenth_is_for_those_that_use_no_more_than_one(void **state)
{
	(void)state;
	begin(160);
	take(small, 5, 0);
	take(big, 145, 0);
	take(big, 1, -ENOMEM);
	/* 10 units are left, and small may have 10 in all. */
	take(small, 6, -ENOMEM);
	take(small, 5, 0);
	take(small, 1, -ENOMEM);
	/* 5 are still left for a third one. */
	assert_int_equal(all.used[ACCOUNT_MEMORY], 155);
	end();
}

static void
what_is_given_back_is_there_again(void **state)
{
	(void)state;
	begin(160);
	take(big, 150, 0);
	account_give(big, ACCOUNT_MEMORY, 20);
	take(small, 30, -ENOMEM);
	take(small, 20, 0);
	take(big, 1, -ENOMEM);
	account_give(small, ACCOUNT_MEMORY, 20);
	take(big, 20, 0);
	account_give(big, ACCOUNT_MEMORY, 0);
	end();
}

static void
a_limit_below_sixteen_is_kept_for_nobody(void **state)
{
	(void)state;
	begin(15);
	take(big, 15, 0);
	take(small, 1, -ENOMEM);
	end();
	begin(16);
	take(big, 15, 0);
	take(big, 1, -ENOMEM);
	take(small, 1, 0);
	end();
	begin(1);
	take(big, 2, -ENOMEM);
	take(big, 1, 0);
	take(small, 1, -ENOMEM);
	end();
}

static void
a_limit_of_zero_gives_nothing(void **state)
{
	(void)state;
	begin(0);
	take(big, 1, -ENOMEM);
	take(big, 0, 0);
	end();
}

static void
the_largest_limit_does_not_overflow(void **state)
{
	(void)state;
	begin(UINT64_MAX);
	take(big, UINT64_MAX, -ENOMEM);
	take(big, UINT64_MAX / 16 * 15, 0);
	take(big, UINT64_MAX / 16 * 15, -ENOMEM);
	take(small, UINT64_MAX, -ENOMEM);
	take(small, UINT64_MAX / 16, 0);
	end();
}

static void
quotas_are_apart(void **state)
{
	(void)state;
	begin(160);
	take(big, 150, 0);
	assert_int_equal(account_take(big, ACCOUNT_FORKS, 7), 0);
	assert_int_equal(account_take(big, ACCOUNT_FORKS, 1), -ENOMEM);
	assert_int_equal(account_take(big, ACCOUNT_SESSIONS, 7), 0);
	account_give(big, ACCOUNT_FORKS, 7);
	account_give(big, ACCOUNT_SESSIONS, 7);
	assert_int_equal(big->used[ACCOUNT_MEMORY], 150);
	end();
}

static void
give_too_much(void *arg)
{
	(void)arg;
	account_give(big, ACCOUNT_MEMORY, 11);
}

static void
put_while_in_use(void *arg)
{
	(void)arg;
	account_put(big);
}

static void
mistakes_abort(void **state)
{
	(void)state;
	begin(160);
	take(big, 10, 0);
	take(small, 10, 0);
	assert_true(aborts_in(give_too_much, NULL));
	assert_true(aborts_in(put_while_in_use, NULL));
	end();
}

static void
random_takers_never_exceed_the_limit_and_never_starve_a_small_one(void **state)
{
	enum { TAKERS = 5, LIMIT = 1000, SHARE = LIMIT / 16 };
	struct account *a[TAKERS];
	uint64_t n, kept = 0;
	char name[] = "uid 0";
	int i, round;

	(void)state;
	srandom(1);
	begin(LIMIT);
	for (i = 0; i < TAKERS; i++) {
		name[4] = (char)('0' + i);
		assert_int_equal(account_get(&all, name, &a[i]), 0);
	}
	for (round = 0; round < 100000; round++) {
		i = (int)(random() % TAKERS);
		n = (uint64_t)random() % 300;
		if (random() % 3 == 0)
			account_give(a[i], ACCOUNT_MEMORY, a[i]->used[ACCOUNT_MEMORY] / 2);
		else
			(void)account_take(a[i], ACCOUNT_MEMORY, n);
		assert_true(all.used[ACCOUNT_MEMORY] <= LIMIT);
		/* No large one is above what the last sixteenth leaves, if small ones use none. */
		for (kept = 0, i = 0; i < TAKERS; i++)
			if (a[i]->used[ACCOUNT_MEMORY] <= SHARE)
				kept += a[i]->used[ACCOUNT_MEMORY];
		assert_true(all.used[ACCOUNT_MEMORY] - kept <= LIMIT - SHARE);
	}
	for (i = 0; i < TAKERS; i++) {
		account_give(a[i], ACCOUNT_MEMORY, a[i]->used[ACCOUNT_MEMORY]);
		account_put(a[i]);
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_one_account),
		cmocka_unit_test(an_account_ends_with_its_last_reference_only),
		cmocka_unit_test(one_account_takes_all_but_a_sixteenth),
		cmocka_unit_test(what_one_account_overdraws_is_not_taken_from_the_others),
		cmocka_unit_test(one_piece_is_bounded_as_many_are),
		cmocka_unit_test(the_last_sixteenth_is_for_those_that_use_no_more_than_one),
		cmocka_unit_test(what_is_given_back_is_there_again),
		cmocka_unit_test(a_limit_below_sixteen_is_kept_for_nobody),
		cmocka_unit_test(a_limit_of_zero_gives_nothing),
		cmocka_unit_test(the_largest_limit_does_not_overflow),
		cmocka_unit_test(quotas_are_apart),
		cmocka_unit_test(mistakes_abort),
		cmocka_unit_test(random_takers_never_exceed_the_limit_and_never_starve_a_small_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
