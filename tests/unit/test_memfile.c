/* The base of a memory file: versions of blocks, committed memory, descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/size.h"
#include "common/server/core/blockmap.h"
#include "common/wire/protocol.h"
#include "smdish/pool.h"
#include "smdish/region.h"
#include "tests/stress/patience.h"

enum { LIMIT = 1 << 30 };

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

/* Segments of a server with so many bytes for all of them. */
static struct pool pool;

static void
begin(struct region *g, uint64_t limit, size_t size)
{
	pool_init(&pool);
	pool_set_limit(&pool, limit);
	assert_int_equal(region_init(g, &pool, size), 0);
}

static void
end(struct region *g)
{
	while (region_wipe(g))
		continue;
	region_fini(g);
	assert_null(g->base);
	region_fini(g);
	pool_fini(&pool);
}

static void
region_commits_what_is_asked_for_and_no_more_than_its_extents(void **state)
{
	struct region g;

	(void)state;
	begin(&g, LIMIT, 10 * REGION_EXTENT + 1);
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
	end(&g);
}

static void
region_of_one_byte_commits_one_page(void **state)
{
	struct region g;

	(void)state;
	begin(&g, LIMIT, 1);
	commit(&g, 0, 1);
	assert_int_equal(g.committed, SIZE_BLOCK);
	end(&g);
}

static void
region_of_two_gigabytes_costs_nothing_until_it_is_used(void **state)
{
	struct region g;

	(void)state;
	begin(&g, LIMIT, PROTOCOL_SEGMENT_MOST);
	assert_int_equal(g.committed, 0);
	commit(&g, PROTOCOL_SEGMENT_MOST - 1, 1);
	g.base[PROTOCOL_SEGMENT_MOST - 1] = 1;
	assert_int_equal(g.committed, REGION_EXTENT);
	end(&g);
}

/* How many mappings this process has. */
static unsigned
count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned lines = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

/*
 * Regions of size bytes, as many as there can be below limit, every other extent committed, take
 * that many mappings at most.
 */
static void
expect_mappings(uint64_t limit, size_t size, unsigned most)
{
	size_t count = (size_t)(limit / ((size + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK)), i;
	struct region *all = calloc(count, sizeof *all);
	unsigned before = count_mappings(), mappings;
	size_t at;

	assert_non_null(all);
	pool_init(&pool);
	pool_set_limit(&pool, limit);
	for (i = 0; i < count; i++) {
		assert_int_equal(region_init(&all[i], &pool, size), 0);
		for (at = 0; at < size; at += 2 * REGION_EXTENT)
			commit(&all[i], at, 1);
	}
	mappings = count_mappings() - before;
	if (mappings > most)
		fail_msg("%lu regions of %lu bytes: expected at most %u mappings, got %u",
		    (unsigned long)count, (unsigned long)size, most, mappings);
	for (i = 0; i < count; i++)
		region_fini(&all[i]);
	pool_fini(&pool);
	free(all);
}

static void
segments_never_reach_the_limit_of_mappings(void **state)
{
	enum { MOST = 40000 };

	(void)state;
	if (patience_is_sanitized())
		skip(); /* valgrind allows fewer mappings than the kernel */
	/* 65,536 of a byte each. */
	expect_mappings(LIMIT / 4, 1, 1024);
	/* The smallest that have a mapping each. */
	expect_mappings(LIMIT, REGION_EXTENT + 1, MOST);
	expect_mappings((uint64_t)4 * LIMIT, 256 * SIZE_MIB, MOST);
	expect_mappings((uint64_t)4 * LIMIT, 4 * REGION_EXTENT + 1, MOST);
}

/* What is committed after the splits are used up is zeros, and counts as before. */
static void
a_region_is_opened_as_a_whole_when_there_are_too_many_mappings(void **state)
{
	struct region g;

	(void)state;
	begin(&g, LIMIT, 10 * REGION_EXTENT);
	commit(&g, REGION_EXTENT, 1);
	g.base[REGION_EXTENT] = 7;
	pool.splits = POOL_SPLITS_MOST;
	commit(&g, 5 * REGION_EXTENT, 1);
	assert_true(g.is_open);
	assert_int_equal(g.committed, 2 * REGION_EXTENT);
	assert_int_equal(g.base[REGION_EXTENT], 7);
	assert_int_equal(g.base[5 * REGION_EXTENT], 0);
	g.base[5 * REGION_EXTENT] = 1;
	pool.splits -= POOL_SPLITS_MOST - 2;
	end(&g);
}

/* Bytes of memory that this process has. */
static size_t
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	fclose(f);
	return pages * SIZE_BLOCK;
}

/* A slot that comes back is zeros for the next one, and no memory is behind it. */
static void
a_slot_comes_back_without_memory(void **state)
{
	enum { COUNT = 4096, SIZE = 2 * SIZE_BLOCK };
	static struct region all[COUNT];
	size_t i, round, before, grown;

	(void)state;
#if defined(__SANITIZE_THREAD__)
	printf("skipped: ThreadSanitizer keeps memory of its own for each byte\n");
	skip();
#endif
	pool_init(&pool);
	pool_set_limit(&pool, LIMIT);
	before = resident();
	for (round = 0; round < 2; round++) {
		for (i = 0; i < COUNT; i++) {
			assert_int_equal(region_init(&all[i], &pool, SIZE), 0);
			commit(&all[i], 0, SIZE);
			assert_int_equal(all[i].base[0] | all[i].base[SIZE - 1], 0);
			memset(all[i].base, 1, SIZE);
		}
		/* One stays in each slab. */
		for (i = 0; i < COUNT; i++) {
			if (round == 0 && i % 512 == 0)
				continue;
			while (region_wipe(&all[i]))
				continue;
			region_fini(&all[i]);
		}
		grown = resident() - before;
		if (grown > COUNT * SIZE / 4)
			fail_msg("%lu bytes of memory are left", (unsigned long)grown);
		if (round == 0)
			for (i = 0; i < COUNT; i += 512) {
				while (region_wipe(&all[i]))
					continue;
				region_fini(&all[i]);
			}
	}
	pool_fini(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blockmap_finds_exactly_what_is_newer),
		cmocka_unit_test(region_commits_what_is_asked_for_and_no_more_than_its_extents),
		cmocka_unit_test(region_of_one_byte_commits_one_page),
		cmocka_unit_test(segments_never_reach_the_limit_of_mappings),
		cmocka_unit_test(a_region_is_opened_as_a_whole_when_there_are_too_many_mappings),
		cmocka_unit_test(a_slot_comes_back_without_memory),
		cmocka_unit_test(region_of_two_gigabytes_costs_nothing_until_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
