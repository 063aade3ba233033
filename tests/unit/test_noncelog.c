/* noncelog with logs that contain known repeats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/nonces/record.h"
#include "tests/stress/noncelog.h"

static char path[] = "noncelog.XXXXXX";

static struct nonce_record
use(uint8_t key, uint8_t nonce, uint32_t first, uint32_t count)
{
	struct nonce_record r = { .first = first, .count = count };

	memset(r.key, key, sizeof r.key);
	memset(r.nonce, nonce, sizeof r.nonce);
	return r;
}

/*
 * Checks a log of these records without less bytes at its end; repeats: the lines about a repeat.
 */
static int
check(const struct nonce_record *records, size_t count, size_t less, unsigned *repeats)
{
	FILE *f = fopen(path, "w"), *out = tmpfile();
	char line[256];
	int result;

	assert_true(f != NULL && out != NULL);
	assert_int_equal(fwrite(records, 1, count * sizeof *records - less, f),
	    count * sizeof *records - less);
	assert_int_equal(fclose(f), 0);
	result = noncelog_check(path, out);
	rewind(out);
	*repeats = 0;
	while (fgets(line, sizeof line, out) != NULL)
		*repeats += strncmp(line, "used twice: ", 12) == 0;
	fclose(out);
	return result;
}

static void
what_differs_in_key_nonce_or_units_is_fine(void **state)
{
	const struct nonce_record records[] = {
		use(2, 1, 0, 1),
		use(1, 1, 0, 1),
		use(1, 2, 0, 256),
		use(1, 2, 512, 256),
		use(1, 2, 256, 256),
		use(1, 3, UINT32_MAX, 1),
	};
	unsigned repeats;

	(void)state;
	assert_int_equal(check(records, 6, 0, &repeats), 0);
	assert_int_equal(repeats, 0);
	assert_int_equal(noncelog_count(path), 6);
}

static void
a_repeat_is_found_wherever_it_is(void **state)
{
	struct nonce_record records[8];
	unsigned repeats;
	size_t i, j, k;

	(void)state;
	for (i = 0; i < 8; i++)
		for (j = 0; j < i; j++) {
			for (k = 0; k < 8; k++)
				records[k] = use((uint8_t)(k % 3), (uint8_t)k, 0, 1);
			records[i] = records[j];
			assert_int_equal(check(records, 8, 0, &repeats), 1);
			assert_int_equal(repeats, 1);
		}
}

static void
overlaps_are_found(void **state)
{
	struct nonce_record records[] = { use(1, 1, 0, 1000), use(1, 1, 10, 10), use(1, 1, 999, 1),
		use(1, 1, 1000, 1) };
	unsigned repeats;

	(void)state;
	/* The second ends before the first does: the third is still within the first. */
	assert_int_equal(check(records, 4, 0, &repeats), 1);
	assert_int_equal(repeats, 2);
}

static void
what_is_no_whole_log_is_an_error(void **state)
{
	struct nonce_record records[] = { use(1, 1, 0, 1), use(1, 2, 0, 1) };
	unsigned repeats;

	(void)state;
	assert_int_equal(check(records, 2, 1, &repeats), -EBADMSG);
	assert_int_equal(check(records, 0, 0, &repeats), -ENODATA);
	records[1] = use(1, 2, 0, 0);
	assert_int_equal(check(records, 2, 0, &repeats), -EBADMSG);
	records[1] = use(1, 2, UINT32_MAX, 2);
	assert_int_equal(check(records, 2, 0, &repeats), -EBADMSG);
	assert_int_equal(noncelog_check("/nowhere/at/all", stderr), -ENOENT);
	assert_int_equal(noncelog_count("/nowhere/at/all"), 0);
}

static int
begin(void **state)
{
	const char *dir = getenv("TMPDIR");

	(void)state;
	if (chdir(dir != NULL ? dir : "/tmp") != 0)
		return -1;
	return close(mkstemp(path));
}

static int
end(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_in_key_nonce_or_units_is_fine),
		cmocka_unit_test(a_repeat_is_found_wherever_it_is),
		cmocka_unit_test(overlaps_are_found),
		cmocka_unit_test(what_is_no_whole_log_is_an_error),
	};

	return cmocka_run_group_tests_name("noncelog", tests, begin, end);
}
