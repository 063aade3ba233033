/* The base of a memory file: versions of blocks, committed memory, descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/size.h"
#include "common/server/core/blockmap.h"
#include "common/wire/protocol.h"
#include "smdish/region.h"

/* Computes the result of blockmap_since() the slow way. */
static void
assert_runs_match(const struct blockmap *m, uint64_t since)
{
	struct blockmap_run run = { 0, 0 };
	uint32_t block = 0;

	while (blockmap_since(m, since, run.first + run.count, &run)) {
		assert_true(run.count > 0);
		for (; block < run.first; block++)
			assert_true(m->versions[block] <= since);
		for (; block < run.first + run.count; block++)
			assert_true(m->versions[block] > since);
	}
	for (; block < m->count; block++)
		assert_true(m->versions[block] <= since);
}

static void
blockmap_finds_exactly_what_is_newer(void **state)
{
	static const uint32_t counts[] = { 1, 2, 63, 64, 65, 128, 129, 1000 };
	uint64_t version = 0;
	struct blockmap m;
	size_t i;
	int round;

	(void)state;
	srandom(2);
	for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		assert_int_equal(blockmap_init(&m, counts[i]), 0);
		assert_runs_match(&m, 0);
		for (round = 0; round < 500; round++) {
			version += 1 + (uint64_t)(random() % 3);
			blockmap_publish(&m, (uint32_t)random() % counts[i], version);
			assert_int_equal(m.newest, version);
			assert_runs_match(&m, 0);
			assert_runs_match(&m, version);
			assert_runs_match(&m, version - (uint64_t)(random() % 20) % version);
		}
		blockmap_fini(&m);
		version = 0;
	}
}

/* Commits size bytes at offset. */
static void
commit(struct region *g, size_t offset, size_t size)
{
	int more;

	region_want(g, offset, size);
	while ((more = region_commit(g)) > 0)
		continue;
	assert_int_equal(more, 0);
}

static void
region_commits_what_is_asked_for_and_no_more_than_its_extents(void **state)
{
	struct region g;

	(void)state;
	assert_int_equal(region_init(&g, 10 * REGION_EXTENT + 1), 0);
	assert_int_equal(g.committed, 0);
	commit(&g, 3 * REGION_EXTENT - 1, 2);
	assert_int_equal(g.committed, 2 * REGION_EXTENT);
	assert_int_equal(g.base[3 * REGION_EXTENT], 0);
	g.base[3 * REGION_EXTENT] = 7;
	commit(&g, 0, 5 * REGION_EXTENT);
	assert_int_equal(g.committed, 5 * REGION_EXTENT);
	assert_int_equal(g.base[3 * REGION_EXTENT], 7);
	commit(&g, 10 * REGION_EXTENT, 1);
	assert_int_equal(g.committed, 5 * REGION_EXTENT + SIZE_BLOCK);
	g.base[10 * REGION_EXTENT] = 1;
	region_fini(&g);
	assert_null(g.base);
	region_fini(&g);
}

static void
region_of_one_byte_commits_one_page(void **state)
{
	struct region g;

	(void)state;
	assert_int_equal(region_init(&g, 1), 0);
	commit(&g, 0, 1);
	assert_int_equal(g.committed, SIZE_BLOCK);
	region_fini(&g);
}

static void
region_of_two_gigabytes_costs_nothing_until_it_is_used(void **state)
{
	struct region g;

	(void)state;
	assert_int_equal(region_init(&g, PROTOCOL_SEGMENT_MOST), 0);
	assert_int_equal(g.committed, 0);
	commit(&g, PROTOCOL_SEGMENT_MOST - 1, 1);
	g.base[PROTOCOL_SEGMENT_MOST - 1] = 1;
	assert_int_equal(g.committed, REGION_EXTENT);
	region_fini(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blockmap_finds_exactly_what_is_newer),
		cmocka_unit_test(region_commits_what_is_asked_for_and_no_more_than_its_extents),
		cmocka_unit_test(region_of_one_byte_commits_one_page),
		cmocka_unit_test(region_of_two_gigabytes_costs_nothing_until_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
