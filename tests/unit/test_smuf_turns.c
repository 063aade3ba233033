/*
 * The lock of version 1 in smuf's lock file, beyond the reach of a script: the end of 32 bits,
 * times to the millisecond, and a file that comes and goes. tests/protocol/smuf_turns.script has
 * the rest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/timer.h"
#include "common/server/core/memfile.h"
#include "common/wire/protocol.h"
#include "smuf/memdir.h"
#include "smuf/store.h"
#include "smuf/storefile.h"
#include "smuf/turns.h"
#include "tests/stress/scratch.h"
#include "tests/unit/storage.h"

enum {
	START_S = 1000,
	CHECK_MS = 20,        /* from a change of the lock to the first check */
	CHECK_LATE_MS = 1000, /* more than there is ever between two checks */
	RANDOM_STEPS = 3000
};

static char dir[SCRATCH_PATH_SIZE], path[PATH_MAX];
static struct memfile *file;
static struct claim claim; /* of the only holder */

static int
begin(void **state)
{
	(void)state;
	scratch_create(dir);
	snprintf(path, sizeof path, "%s/m", dir);
	storage_begin(&smuf_store, dir, STORAGE_SEGMENT_MOST);
	file = storage_get("/m", PROTOCOL_VERSION_1);
	claim = (struct claim){ 0 };
	return 0;
}

static int
end(void **state)
{
	(void)state;
	if (claim.state != CLAIM_IDLE)
		lockqueue_drop(&file->lock, &claim);
	memfile_put(file);
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	storage_end();
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* The lock file, accessed without memdir. */

static void
put_words(uint32_t ticket, uint32_t turn)
{
	uint32_t words[2] = { ticket, turn };
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, words, sizeof words, 0), sizeof words);
	close(fd);
}

static uint32_t
word_at(off_t offset)
{
	int fd = open(path, O_RDWR);
	uint32_t word;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &word, sizeof word, offset), sizeof word);
	close(fd);
	return word;
}

static uint32_t
turn_there(void)
{
	return word_at(4);
}

/* The server's side. */

static void
serve(uint32_t turn)
{
	storefile_of(file)->turn = turn;
}

static void
expect_served(uint32_t turn)
{
	uint32_t is = storefile_of(file)->turn;

	if (is != turn)
		fail_msg("expected turn %lu to be served, got %lu", (unsigned long)turn,
		    (unsigned long)is);
	assert_true(smuf_store.turn_is_served(file, turn));
	assert_false(smuf_store.turn_is_served(file, turn + 1));
	assert_false(smuf_store.turn_is_served(file, turn - 1));
	assert_false(smuf_store.turn_is_served(file, turn ^ 0x80000000));
}

static void
take_lock(void)
{
	assert_int_equal(lockqueue_claim(&file->lock, &claim, PROTOCOL_EXCLUSIVE, false),
	    CLAIM_HELD);
	smuf_store.lock_changed(file, STORE_EVENT_CLAIMED);
}

static void
give_lock(enum store_event event)
{
	lockqueue_drop(&file->lock, &claim);
	smuf_store.lock_changed(file, event);
}

static void
turns_wrap_around_when_unlocked(void **state)
{
	(void)state;
	serve(UINT32_MAX - 1);
	put_words(2, UINT32_MAX - 1);
	take_lock();
	give_lock(STORE_EVENT_UNLOCKED);
	expect_served(UINT32_MAX);
	put_words(2, UINT32_MAX);
	take_lock();
	give_lock(STORE_EVENT_UNLOCKED);
	expect_served(0);
	put_words(2, 0);
	storage_pass_ms(10 * 1000);
	/* Turn 0 was skipped: ticket 1 is out too. */
	expect_served(1);
}

static void
turns_wrap_around_when_dropped_and_are_stored_at_once(void **state)
{
	(void)state;
	serve(UINT32_MAX);
	put_words(1, UINT32_MAX);
	take_lock();
	give_lock(STORE_EVENT_DROPPED);
	expect_served(0);
	assert_int_equal(turn_there(), 0);
	assert_int_equal(word_at(0), 1);
}

static void
turns_wrap_around_when_skipped(void **state)
{
	(void)state;
	serve(UINT32_MAX);
	/* Tickets UINT32_MAX and 0 are out. */
	put_words(1, UINT32_MAX);
	storage_pass_ms(PROTOCOL_TURN_UNCLAIMED_MS + 2 * CHECK_LATE_MS);
	expect_served(0);
	assert_int_equal(turn_there(), 0);
	storage_pass_ms(3600 * 1000);
	expect_served(0);
}

static void
a_ticket_number_far_away_is_behind_beyond_two_to_the_31(void **state)
{
	(void)state;
	/* Moved back: no client waits. */
	serve(5);
	put_words(5 + 0x80000000, 5);
	storage_pass_ms(3600 * 1000);
	expect_served(5);
	put_words(4, 5);
	storage_pass_ms(3600 * 1000);
	expect_served(5);
	put_words(5, 5);
	storage_pass_ms(3600 * 1000);
	expect_served(5);
	/* Moved forward: two thousand million clients wait. */
	put_words(5u + 0x7fffffff, 5);
	storage_pass_ms(PROTOCOL_TURN_UNCLAIMED_MS + 2 * CHECK_LATE_MS);
	expect_served(6);
}

static void
a_turn_is_skipped_after_5_seconds_and_not_before(void **state)
{
	(void)state;
	put_words(2, 0);
	/* The first check comes after CHECK_MS; the 5 s begin with it. */
	storage_pass_ms(CHECK_MS + PROTOCOL_TURN_UNCLAIMED_MS - 1);
	expect_served(0);
	storage_pass_ms(CHECK_MS + 1);
	expect_served(1);
	assert_int_equal(turn_there(), 1);
}

static void
drift_is_repaired_after_100_ms_and_not_before(void **state)
{
	(void)state;
	put_words(0, 3);
	storage_pass_ms(CHECK_MS + PROTOCOL_TURN_DRIFT_MS - 1);
	assert_int_equal(turn_there(), 3);
	storage_pass_ms(CHECK_MS + 1);
	assert_int_equal(turn_there(), 0);
	expect_served(0);
}

static void
after_an_unlock_the_next_check_is_soon_however_long_the_lock_was_idle(void **state)
{
	(void)state;
	storage_pass_ms(24 * 3600 * 1000);
	put_words(1, 0);
	take_lock();
	give_lock(STORE_EVENT_UNLOCKED);
	storage_pass_ms(CHECK_MS + PROTOCOL_TURN_DRIFT_MS + CHECK_MS);
	assert_int_equal(turn_there(), 1);
}

static void
an_idle_lock_is_checked_every_tenth_of_a_second(void **state)
{
	unsigned checks = 0;
	uint64_t then;

	(void)state;
	storage_pass_ms(60 * 1000);
	then = storage.now + 10 * CLOCK_SEC;
	while (timer_next(&storage.timers) <= then) {
		storage.now = timer_next(&storage.timers);
		timer_run(&storage.timers, storage.now, &BUDGET_UNLIMITED);
		storage_tasks();
		checks++;
	}
	assert_in_range(checks, 95, 105);
}

static void
drift_and_an_unclaimed_turn_at_once_are_both_repaired(void **state)
{
	(void)state;
	serve(10);
	put_words(14, 999);
	storage_pass_ms(2 * CHECK_MS + PROTOCOL_TURN_DRIFT_MS);
	assert_int_equal(turn_there(), 10);
	storage_pass_ms(PROTOCOL_TURN_UNCLAIMED_MS - PROTOCOL_TURN_DRIFT_MS);
	expect_served(11);
	assert_int_equal(turn_there(), 11);
}

static void
a_file_that_is_gone_and_comes_back_is_repaired(void **state)
{
	char aside[PATH_MAX];

	(void)state;
	snprintf(aside, sizeof aside, "%s/aside", dir);
	assert_int_equal(rename(path, aside), 0);
	storage_pass_ms(60 * 1000);
	take_lock();
	give_lock(STORE_EVENT_DROPPED);
	expect_served(1);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(turn_there(), 0);
	storage_pass_ms(CHECK_LATE_MS + PROTOCOL_TURN_DRIFT_MS + CHECK_MS);
	assert_int_equal(turn_there(), 1);
}

/* The true turn, and since when. */
static uint32_t known;
static uint64_t known_since;
static unsigned skipped;

/*
 * The turn is the true one, or was skipped just now: by one, without a holder, and 5 s after the
 * last move or later.
 */
static void
watch(void)
{
	if (storefile_of(file)->turn == known)
		return;
	known++;
	assert_int_equal(storefile_of(file)->turn, known);
	assert_true(claim.state == CLAIM_IDLE);
	assert_true(storage.now - known_since >= PROTOCOL_TURN_UNCLAIMED_MS * CLOCK_MS);
	known_since = storage.now;
	skipped++;
}

static void
pass_and_watch(uint64_t ms)
{
	for (; ms > 0; ms--) {
		storage_pass_ms(1);
		watch();
	}
}

/* Takes the lock if it is free, else releases it. */
static void
change_lock(void)
{
	if (claim.state == CLAIM_IDLE) {
		take_lock();
		return;
	}
	give_lock(random() % 2 == 0 ? STORE_EVENT_UNLOCKED : STORE_EVENT_DROPPED);
	known++;
	known_since = storage.now;
}

/* Whatever the host writes, and whenever, the true turn moves only as it may. */
static void
whatever_the_host_writes_a_turn_is_served_once_and_the_next_is_the_next(void **state)
{
	unsigned i;

	(void)state;
	srandom(1);
	known = UINT32_MAX - 50;
	known_since = storage.now;
	serve(known);
	for (i = 0; i < RANDOM_STEPS; i++) {
		switch (random() % 4) {
		case 0:
			put_words((uint32_t)random() * 2, (uint32_t)random() * 2);
			break;
		case 1:
			put_words(known + (uint32_t)(random() % 8),
			    known + (uint32_t)(random() % 8) - 4);
			break;
		case 2:
			pass_and_watch((uint64_t)(random() % (random() % 8 == 0 ? 12000 : 500)));
			break;
		default:
			change_lock();
		}
		watch();
	}
	/* The turn has wrapped around, with some skips. */
	assert_true(known < UINT32_MAX / 2);
	if (skipped < RANDOM_STEPS / 500)
		fail_msg("expected %d turns skipped or more, got %u", RANDOM_STEPS / 500, skipped);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(turns_wrap_around_when_unlocked),
		TEST(turns_wrap_around_when_dropped_and_are_stored_at_once),
		TEST(turns_wrap_around_when_skipped),
		TEST(a_ticket_number_far_away_is_behind_beyond_two_to_the_31),
		TEST(a_turn_is_skipped_after_5_seconds_and_not_before),
		TEST(drift_is_repaired_after_100_ms_and_not_before),
		TEST(after_an_unlock_the_next_check_is_soon_however_long_the_lock_was_idle),
		TEST(an_idle_lock_is_checked_every_tenth_of_a_second),
		TEST(drift_and_an_unclaimed_turn_at_once_are_both_repaired),
		TEST(a_file_that_is_gone_and_comes_back_is_repaired),
		TEST(whatever_the_host_writes_a_turn_is_served_once_and_the_next_is_the_next),
	};

	log_open("test_smuf_turns", NULL, LOG_LEVEL_NONE);
	return cmocka_run_group_tests_name("smuf turns", tests, NULL, NULL);
}
