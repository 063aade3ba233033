/*
 * Many random critical sections, and writes that race with them, against a model of the published
 * segment: the trackers find the same changes, and lose and tear none (DESIGN 8).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "tests/unit/tracked.h"

/*
 * Under ThreadSanitizer comparing large memory is very slow, and one thread has nothing to race
 * with: run fewer sections of large segments.
 */
#if defined(__SANITIZE_THREAD__)
enum { FEWER = 20 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { FEWER = 20 };
#else
enum { FEWER = 1 };
#endif
#else
enum { FEWER = 1 };
#endif

/* The published segment, which any other process would see now. */
static uint8_t *published;

static uint64_t fingerprint; /* of all pieces of all sections */

static uint32_t
below(uint32_t limit)
{
	return (uint32_t)rand() % limit;
}

/* Copies the pieces of the last collect into the published bytes. */
static void
publish(void)
{
	const struct dirty_piece *piece;
	uint64_t end = 0;

	for (piece = dirty->pieces; piece < dirty->pieces + dirty->count; piece++) {
		assert_true(piece->length > 0);
		assert_true(piece == dirty->pieces || piece->offset > end);
		end = (uint64_t)piece->offset + piece->length;
		assert_true(end <= dirty->size);
		memcpy(published + piece->offset, dirty->shadow + piece->offset, piece->length);
		fingerprint = (fingerprint ^ piece->offset) * UINT64_C(0x100000001b3);
		fingerprint = (fingerprint ^ piece->length) * UINT64_C(0x100000001b3);
	}
}

/* Another process publishes some blocks; a grant brings them. */
static void
be_granted(uint64_t version)
{
	uint32_t blocks = size_block_count(dirty->size), block, length;

	replica_grant_begin(&replica, version);
	for (block = below(blocks); block < blocks; block += 1 + below(blocks)) {
		length = (1 + below(4)) * SIZE_BLOCK;
		if (length > dirty->size - block * SIZE_BLOCK)
			length = dirty->size - block * SIZE_BLOCK;
		published[block * SIZE_BLOCK + below(length)] ^= (uint8_t)below(256);
		replica_grant_write(&replica, block * SIZE_BLOCK, published + block * SIZE_BLOCK,
		    length);
		block += (length - 1) / SIZE_BLOCK;
	}
	replica_grant_end(&replica, version);
}

/* Mostly few small writes, sometimes large ones. */
static void
write_something(void)
{
	uint32_t n, offset, length;

	for (n = below(8); n > 0; n--) {
		offset = below(dirty->size);
		length = 1 + below(dirty->size - offset);
		if (length > 20 && below(50) != 0)
			length = 1 + below(20);
		tracked_set(offset, (int)below(4), length);
	}
}

static void
run_sections(void **state, uint32_t size, uint32_t count)
{
	uint32_t i, often = size > 256 * SIZE_KIB ? 64 : 1;

	tracked_begin(state, size);
	published = calloc(1, size);
	assert_non_null(published);
	/* A fresh replica would not be zeroed. */
	replica_void(&replica);
	for (i = 1; i <= count; i++) {
		be_granted(i);
		write_something();
		assert_int_equal(replica_collect(&replica), 0);
		publish();
		if (i % often != 0 && i != count)
			continue;
		/* No assert_memory_equal(): it is slow. */
		assert_int_equal(memcmp(published, dirty->base, size), 0);
		assert_int_equal(memcmp(published, dirty->shadow, size), 0);
	}
	free(published);
	tracked_end();
}

static void
ten_thousand_random_sections(void **state)
{
	static const struct {
		uint32_t size, count;
	} runs[] = { { 1, 500 }, { 2, 500 }, { 7, 500 }, { 100, 500 }, { 4095, 1000 },
		{ 4096, 1000 }, { 4097, 1000 }, { 9000, 1000 }, { 100001, 1000 }, { 262145, 1000 },
		{ SIZE_MIB, 1000 }, { SIZE_MIB + 4095, 600 }, { 8 * SIZE_MIB - 1, 200 },
		{ 8 * SIZE_MIB, 200 } };
	static uint64_t expected;
	size_t i;

	fingerprint = 1;
	srand(1);
	for (i = 0; i < sizeof runs / sizeof runs[0]; i++)
		run_sections(state, runs[i].size,
		    runs[i].size > 4 * SIZE_BLOCK ? runs[i].count / FEWER : runs[i].count);
	/* The first is dirty_diff, which misses nothing. */
	if (*state == &dirty_diff)
		expected = fingerprint;
	assert_true(fingerprint == expected);
}

enum { RACED = SIZE_MIB + SIZE_BLOCK, COLLECTS = 8 };
static atomic_int collects; /* of this race */

/*
 * Writes words all over the segment until the last collect. It races with the library on purpose,
 * as a program may that breaks its critical sections: no sanitizer may watch it. It soon leaves a
 * page for another, so that a later write does not hide a lost one.
 */
__attribute__((no_sanitize("thread"))) static void *
race(void *arg)
{
	static uint32_t x;
	volatile uint64_t *base = (volatile uint64_t *)(void *)dirty->base;
	uint32_t at;

	(void)arg;
	while (atomic_load(&collects) < COLLECTS) {
		x = x * 1664525 + 1013904223;
		at = (x >> 8) % (dirty->size / sizeof *base);
		base[at]++;
		tracked_wrote(at * (uint32_t)sizeof *base, sizeof *base);
	}
	return NULL;
}

/* A few collects while another thread writes, and one after it. */
static void
run_race(uint64_t version)
{
	pthread_t thread;

	atomic_store(&collects, 0);
	assert_int_equal(pthread_create(&thread, NULL, race, NULL), 0);
	while (atomic_fetch_add(&collects, 1) < COLLECTS) {
		if (atomic_load(&collects) == COLLECTS / 2)
			be_granted(version);
		assert_int_equal(replica_collect(&replica), 0);
		publish();
		/* The library goes on from the bytes that it sent. */
		assert_int_equal(memcmp(published, dirty->shadow, dirty->size), 0);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(replica_collect(&replica), 0);
	publish();
	assert_int_equal(memcmp(published, dirty->base, dirty->size), 0);
	tracked_expect_nothing();
}

static void
a_write_that_races_is_published_or_found_next_time(void **state)
{
	int i, version;

	srand(2);
	/* Begin anew sometimes, because dirty_auto stops watching where so much changes. */
	for (i = 0; i < 120 / FEWER; i++) {
		tracked_begin(state, RACED);
		published = calloc(1, RACED);
		assert_non_null(published);
		replica_void(&replica);
		be_granted(1);
		tracked_idle();
		for (version = 2; version < 7; version++)
			run_race((uint64_t)version);
		free(published);
		tracked_end();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TRACKED_ALL(ten_thousand_random_sections),
		TRACKED_ALL(a_write_that_races_is_published_or_found_next_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
