/*
 * Trackers find all changes and little else: one body for all of them, and the properties of each
 * one (DESIGN 8).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/host/uffd.h"
#include "tests/unit/tracked.h"

enum { LARGE = 8 * SIZE_MIB };

static void
a_fresh_replica_is_zeros_and_clean(void **state)
{
	tracked_begin(state, 3 * SIZE_BLOCK + 1);
	assert_int_equal(dirty->base[0], 0);
	assert_int_equal(dirty->base[3 * SIZE_BLOCK], 0);
	tracked_expect_nothing();
	tracked_end();
}

static void
one_byte_is_one_piece_of_one_byte(void **state)
{
	const uint32_t size = 2 * SIZE_BLOCK + 100;
	const uint32_t offsets[] = { 0, 1, 7, 8, 9, SIZE_BLOCK - 1, SIZE_BLOCK, SIZE_BLOCK + 1,
		2 * SIZE_BLOCK - 1, 2 * SIZE_BLOCK, 2 * SIZE_BLOCK + 99 };
	size_t i;

	tracked_begin(state, size);
	for (i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
		tracked_set(offsets[i], 0xff, 1);
		tracked_expect_piece(offsets[i], 1);
		tracked_expect_nothing();
	}
	tracked_end();
}

static void
a_piece_reaches_from_the_first_to_the_last_change_of_a_block(void **state)
{
	tracked_begin(state, SIZE_BLOCK);
	tracked_set(3, 1, 1);
	tracked_set(2000, 1, 1);
	tracked_expect_piece(3, 1998);
	tracked_end();
}

static void
adjoining_changes_of_two_blocks_are_one_piece(void **state)
{
	tracked_begin(state, 3 * SIZE_BLOCK);
	tracked_set(SIZE_BLOCK - 5, 'x', 10);
	tracked_expect_piece(SIZE_BLOCK - 5, 10);
	tracked_set(0, 'y', 3 * SIZE_BLOCK);
	tracked_expect_piece(0, 3 * SIZE_BLOCK);
	tracked_end();
}

static void
blocks_apart_are_pieces_apart_and_ascend(void **state)
{
	tracked_begin(state, 5 * SIZE_BLOCK + 9);
	tracked_set(5 * SIZE_BLOCK + 8, 1, 1);
	tracked_set(SIZE_BLOCK, 1, 1);
	tracked_set(3 * SIZE_BLOCK - 1, 1, 1);
	assert_int_equal(replica_collect(&replica), 0);
	assert_int_equal(dirty->count, 3);
	assert_int_equal(dirty->pieces[0].offset, SIZE_BLOCK);
	assert_int_equal(dirty->pieces[1].offset, 3 * SIZE_BLOCK - 1);
	assert_int_equal(dirty->pieces[2].offset, 5 * SIZE_BLOCK + 8);
	tracked_end();
}

/* More runs of pages than one reply of the kernel holds. */
static void
every_other_block_is_found(void **state)
{
	const uint32_t blocks = LARGE / SIZE_BLOCK;
	uint32_t i;

	tracked_begin(state, LARGE);
	tracked_idle();
	for (i = 1; i < blocks; i += 2)
		tracked_set(i * SIZE_BLOCK + i, 1, 1);
	assert_int_equal(replica_collect(&replica), 0);
	assert_int_equal(dirty->count, blocks / 2);
	for (i = 0; i < blocks / 2; i++)
		assert_int_equal(dirty->pieces[i].offset, (2 * i + 1) * SIZE_BLOCK + 2 * i + 1);
	tracked_expect_nothing();
	tracked_end();
}

static void
what_is_changed_back_is_no_change(void **state)
{
	tracked_begin(state, SIZE_BLOCK);
	tracked_set(9, 1, 1);
	tracked_set(9, 0, 1);
	tracked_expect_nothing();
	tracked_end();
}

static void
what_a_grant_brings_is_no_change(void **state)
{
	static uint8_t all[SIZE_MIB];

	tracked_begin(state, SIZE_MIB);
	tracked_idle();
	tracked_grant(5, SIZE_BLOCK, "granted", 7);
	assert_memory_equal(dirty->base + SIZE_BLOCK, "granted", 7);
	assert_int_equal(replica_since(&replica), 5);
	tracked_expect_nothing();
	/* So many that one call unprotects them. */
	memset(all, 'a', sizeof all);
	tracked_grant(6, 0, all, sizeof all);
	assert_memory_equal(dirty->base, all, sizeof all);
	tracked_expect_nothing();
	tracked_set(SIZE_MIB - 1, 'b', 1);
	tracked_expect_piece(SIZE_MIB - 1, 1);
	tracked_end();
}

/* Blocks that verified one by one, in the shadow. */
static void
what_a_staged_grant_brings_is_no_change(void **state)
{
	tracked_begin(state, 4 * SIZE_BLOCK + 9);
	replica_stage_begin(&replica);
	memset(replica_stage(&replica, 1), 'a', SIZE_BLOCK);
	memset(replica_stage(&replica, 4), 'b', 9);
	assert_int_equal(dirty->base[SIZE_BLOCK], 0);
	replica_apply_staged(&replica, 5);
	assert_int_equal(dirty->base[SIZE_BLOCK], 'a');
	assert_int_equal(dirty->base[4 * SIZE_BLOCK + 8], 'b');
	tracked_wrote(0, 4 * SIZE_BLOCK + 9);
	tracked_expect_nothing();
	tracked_set(4 * SIZE_BLOCK + 8, 'c', 1);
	tracked_expect_piece(4 * SIZE_BLOCK + 8, 1);
	tracked_end();
}

/*
 * A write outside a critical section is published with the next release, or lost to the next grant.
 */
static void
a_stray_write_is_published_or_lost(void **state)
{
	tracked_begin(state, SIZE_MIB);
	tracked_grant(5, 0, "", 1);
	tracked_idle();
	tracked_set(1, 'a', 1);
	tracked_set(9, 'a', 1);
	tracked_set(SIZE_BLOCK + 1, 'b', 1);
	tracked_grant(6, 0, "xyz", 3);
	assert_int_equal(dirty->base[1], 'y');
	assert_int_equal(replica_collect(&replica), 0);
	assert_int_equal(dirty->count, 2);
	assert_int_equal(dirty->pieces[0].offset, 9);
	assert_int_equal(dirty->pieces[1].offset, SIZE_BLOCK + 1);
	tracked_end();
}

static void
sync_full_collects_everything(void **state)
{
	/* Also where there is no such tracker. */
	replica = (struct replica){ 0 };
	assert_int_equal(replica_map(&replica, NULL, SIZE_BLOCK + 5, true, *state), 0);
	assert_int_equal(replica_begin(&replica), 0);
	tracked_expect_piece(0, SIZE_BLOCK + 5);
	replica_published(&replica, 9);
	assert_int_equal(replica_since(&replica), 0);
	tracked_set(SIZE_BLOCK + 4, 'x', 1);
	tracked_expect_piece(0, SIZE_BLOCK + 5);
	/* A life in which nothing is published yet. */
	replica_grant_begin(&replica, 0);
	replica_grant_end(&replica, 0);
	assert_int_equal(dirty->base[SIZE_BLOCK + 4], 0);
	assert_int_equal(dirty->shadow[SIZE_BLOCK + 4], 0);
	tracked_end();
}

/*
 * A void replica is zeroed where a grant from 0 names nothing; a fresh one keeps what was written
 * to it.
 */
static void
a_void_replica_is_zeroed_and_a_fresh_one_is_kept(void **state)
{
	tracked_begin(state, 2 * SIZE_BLOCK);
	tracked_set(5, 1, 1);
	replica_grant_begin(&replica, 0);
	replica_grant_end(&replica, 0);
	tracked_expect_piece(5, 1);
	replica_void(&replica);
	assert_int_equal(dirty->base[5], 1);
	replica_grant_begin(&replica, 0);
	replica_grant_end(&replica, 0);
	assert_int_equal(dirty->base[5], 0);
	tracked_expect_nothing();

	tracked_set(6, 1, 1);
	tracked_set(SIZE_BLOCK + 6, 1, 1);
	replica_void(&replica);
	tracked_grant(7, SIZE_BLOCK, "new", 3);
	assert_int_equal(dirty->base[6], 0);
	assert_int_equal(dirty->base[SIZE_BLOCK + 6], 0);
	assert_memory_equal(dirty->base + SIZE_BLOCK, "new", 3);
	tracked_expect_nothing();
	tracked_end();
}

/* The kernel writes, not the program: to an untouched page, and to a protected one. */
static void
what_read_writes_is_found(void **state)
{
	int ends[2], i;

	assert_int_equal(pipe(ends), 0);
	tracked_begin(state, SIZE_MIB + 3);
	tracked_idle();
	for (i = 0; i < 3; i++) {
		assert_int_equal(write(ends[1], &"abc"[i], 1), 1);
		assert_int_equal(read(ends[0], dirty->base + SIZE_MIB, 1), 1);
		tracked_wrote(SIZE_MIB, 1);
		tracked_expect_piece(SIZE_MIB, 1);
	}
	tracked_end();
	close(ends[0]);
	close(ends[1]);
}

/* One write to a huge page is not two megabytes, whatever the program has requested. */
static void
huge_pages_hide_nothing(void **state)
{
	tracked_begin(state, LARGE);
	(void)madvise(dirty->base, LARGE, MADV_HUGEPAGE);
	tracked_set(0, 'x', LARGE);
	tracked_expect_piece(0, LARGE);
	tracked_idle();
	tracked_set(5 * SIZE_MIB, 'y', 1);
	tracked_expect_piece(5 * SIZE_MIB, 1);
	(void)madvise(dirty->base, LARGE, MADV_HUGEPAGE);
	tracked_set(0, 'z', LARGE);
	tracked_expect_piece(0, LARGE);
	tracked_set(LARGE - 1, 'a', 1);
	tracked_expect_piece(LARGE - 1, 1);
	tracked_end();
}

/* There a scan fails, but comparing works. */
static void
memory_that_the_program_replaced_is_compared(void **state)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	uint8_t *part;

	tracked_begin(state, SIZE_MIB);
	tracked_set(0, 'x', SIZE_MIB);
	tracked_expect_piece(0, SIZE_MIB);
	tracked_idle();
	part = dirty->base + SIZE_MIB / 2;
	assert_ptr_equal(mmap(part, SIZE_BLOCK, PROT_READ | PROT_WRITE, flags, -1, 0), part);
	tracked_wrote(SIZE_MIB / 2, SIZE_BLOCK);
	tracked_expect_piece(SIZE_MIB / 2, SIZE_BLOCK);
	tracked_set(SIZE_MIB / 2 + 7, 'y', 1);
	tracked_expect_piece(SIZE_MIB / 2 + 7, 1);
	tracked_set(SIZE_MIB - 1, 'z', 1);
	tracked_expect_piece(SIZE_MIB - 1, 1);
	tracked_end();
}

/* The rest of the last page is no part of the segment. */
static void
what_is_behind_the_end_is_no_change(void **state)
{
	tracked_begin(state, SIZE_MIB + 100);
	tracked_idle();
	dirty->base[SIZE_MIB + 100] = 1;
	tracked_expect_nothing();
	dirty->base[SIZE_MIB + 101] = 1;
	tracked_set(SIZE_MIB + 99, 1, 1);
	tracked_expect_piece(SIZE_MIB + 99, 1);
	tracked_end();
}

/* Scans all of a range. Returns how much was listed. */
static size_t
scan_all(struct uffd_range *range, size_t size)
{
	size_t from = 0, sum = 0;
	struct uffd_run run;
	int count;

	while (from < size) {
		count = uffd_scan(range, &from, &run, 1);
		assert_true(count == 0 || count == 1);
		sum += count == 1 ? run.end - run.start : 0;
	}
	return sum;
}

/* Pages of the shadow of LARGE bytes that have memory. */
static uint32_t
count_shadow_pages(void)
{
	uint8_t core[LARGE / SIZE_BLOCK];
	uint32_t i, count = 0;

	assert_int_equal(mincore(dirty->shadow, LARGE, core), 0);
	for (i = 0; i < sizeof core; i++)
		count += core[i] & 1;
	return count;
}

/* Neither comparing nor zeroing touches what nobody wrote. */
static void
the_shadow_of_zeros_takes_no_memory(void **state)
{
	/* There may be a huge page. */
	const uint32_t most = LARGE / SIZE_BLOCK / 2;
	uint32_t i;

	tracked_begin(state, LARGE);
	tracked_set(5 * SIZE_BLOCK, 'x', 1);
	tracked_expect_piece(5 * SIZE_BLOCK, 1);
	replica_void(&replica);
	tracked_grant(7, 6 * SIZE_BLOCK, "new", 3);
	tracked_expect_nothing();
	assert_in_range(count_shadow_pages(), 1, most);
	/* Blank blocks are compared, too. */
	for (i = 0; i < LARGE / SIZE_BLOCK; i += 99) {
		tracked_set(i * SIZE_BLOCK + 17, 'y', 5);
		tracked_expect_piece(i * SIZE_BLOCK + 17, 5);
	}
	tracked_set(0, 'z', LARGE);
	tracked_expect_piece(0, LARGE);
	assert_int_equal(count_shadow_pages(), LARGE / SIZE_BLOCK);
	/* A child begins with a new one. */
	replica_fork_child(&replica);
	assert_int_equal(replica_begin(&replica), 0);
	tracked_grant(8, 6 * SIZE_BLOCK, "new", 3);
	tracked_expect_nothing();
	assert_in_range(count_shadow_pages(), 1, most);
	tracked_end();
}

/* uffd.h by itself: lists all pages at first, and then exactly the written ones. */
static void
a_huge_page_is_listed_by_its_pages(void **state)
{
	enum { HUGE = 2 * SIZE_MIB };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), from = 0;
	uint8_t *memory, *base, core[HUGE / SIZE_BLOCK];
	struct uffd_range *range;
	struct uffd_run run;

	(void)state;
	tracked_need_uffd();
	memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	base = memory + (HUGE - (uintptr_t)memory % HUGE) % HUGE;
	(void)madvise(base, HUGE, MADV_HUGEPAGE);
	base[0] = 1;
	/* After one write all of it is present. */
	assert_int_equal(mincore(base, HUGE, core), 0);
	if ((core[HUGE / page - 1] & 1) == 0)
		printf("there is no huge page to be had here: this proves little\n");
	memset(base, 1, HUGE);
	assert_int_equal(uffd_open(&range, base, HUGE), 0);
	assert_int_equal(scan_all(range, HUGE), HUGE);
	assert_int_equal(scan_all(range, HUGE), 0);
	base[5 * page] = 1;
	assert_int_equal(uffd_scan(range, &from, &run, 1), 1);
	assert_int_equal(run.start, 5 * page);
	assert_int_equal(run.end, 6 * page);
	uffd_unprotect(range, 9 * page - 1, 2);
	assert_int_equal(scan_all(range, HUGE), 2 * page);
	uffd_close(range);
	munmap(memory, 2 * HUGE);
}

static void
what_is_not_hinted_is_not_published(void **state)
{
	const uint32_t end = 70 * SIZE_BLOCK + 3;

	tracked_begin(state, end);
	memset(dirty->base, 'x', end);
	tracked_expect_nothing();
	/* Narrowed to the hint, across two blocks and words of blocks. */
	tracked_wrote(63 * SIZE_BLOCK + 4090, 10);
	tracked_expect_piece(63 * SIZE_BLOCK + 4090, 10);
	tracked_wrote(end - 1, 1);
	tracked_wrote(end, 0);
	tracked_expect_piece(end - 1, 1);
	/* Two hints of one block are one. */
	tracked_wrote(100, 1);
	tracked_wrote(50, 2);
	tracked_expect_piece(50, 51);
	/* A hint counts for one release. */
	tracked_wrote(120, 1);
	tracked_expect_piece(120, 1);
	tracked_wrote(200, 1);
	tracked_expect_piece(200, 1);
	/* A change without a hint is lost to the next grant. */
	memset(dirty->base, 'y', end);
	tracked_expect_nothing();
	tracked_grant(3, 0, dirty->shadow, SIZE_BLOCK);
	assert_int_equal(dirty->base[0], 0);
	assert_int_equal(dirty->base[50], 'x');
	tracked_end();
}

static void
auto_compares_what_is_small(void **state)
{
	tracked_begin(state, DIRTY_AUTO_SMALL);
	tracked_idle();
	assert_false(dirty_auto_is_watching(dirty));
	tracked_end();
}

/* Changes all of it count times. */
static void
change_all(int count)
{
	for (; count > 0; count--) {
		tracked_set(0, dirty->base[0] + 1, dirty->size);
		tracked_expect_piece(0, dirty->size);
	}
}

static void
auto_watches_where_little_changes_and_compares_where_much_does(void **state)
{
	tracked_need_uffd();
	tracked_begin(state, SIZE_MIB);
	change_all(20);
	assert_false(dirty_auto_is_watching(dirty));
	tracked_idle();
	assert_true(dirty_auto_is_watching(dirty));
	/* One change of everything does not stop it. */
	change_all(1);
	tracked_expect_nothing();
	assert_true(dirty_auto_is_watching(dirty));
	change_all(2);
	assert_false(dirty_auto_is_watching(dirty));
	/* The next attempt comes later. */
	tracked_expect_nothing();
	tracked_expect_nothing();
	tracked_expect_nothing();
	tracked_expect_nothing();
	assert_false(dirty_auto_is_watching(dirty));
	tracked_idle();
	assert_true(dirty_auto_is_watching(dirty));
	tracked_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TRACKED_ALL(a_fresh_replica_is_zeros_and_clean),
		TRACKED_ALL(one_byte_is_one_piece_of_one_byte),
		TRACKED_ALL(a_piece_reaches_from_the_first_to_the_last_change_of_a_block),
		TRACKED_ALL(adjoining_changes_of_two_blocks_are_one_piece),
		TRACKED_ALL(blocks_apart_are_pieces_apart_and_ascend),
		TRACKED_ALL(every_other_block_is_found),
		TRACKED_ALL(what_is_changed_back_is_no_change),
		TRACKED_ALL(what_a_grant_brings_is_no_change),
		TRACKED_ALL(what_a_staged_grant_brings_is_no_change),
		TRACKED_ALL(a_stray_write_is_published_or_lost),
		TRACKED_ALL(sync_full_collects_everything),
		TRACKED_ALL(a_void_replica_is_zeroed_and_a_fresh_one_is_kept),
		TRACKED_ALL(what_read_writes_is_found),
		TRACKED_ALL(huge_pages_hide_nothing),
		TRACKED_ALL(memory_that_the_program_replaced_is_compared),
		TRACKED_ALL(what_is_behind_the_end_is_no_change),
		TRACKED_ALL(the_shadow_of_zeros_takes_no_memory),
		TRACKED(a_huge_page_is_listed_by_its_pages, uffd),
		TRACKED(what_is_not_hinted_is_not_published, hint),
		TRACKED(auto_compares_what_is_small, auto),
		TRACKED(auto_watches_where_little_changes_and_compares_where_much_does, auto),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
