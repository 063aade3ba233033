/*
 * smuf's store against a model of it: for any sequence of releases, valid or not, a grant carries
 * exactly the blocks above since, each with the version, slot and tag of the last accepted release;
 * a release counts as a whole or not at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/filename.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/layout.h"
#include "smuf/store.h"
#include "smuf/storefile.h"
#include "tests/stress/scratch.h"
#include "tests/unit/storage.h"

enum {
	BLOCKS = 9,
	SEGMENT = (BLOCKS - 1) * 4096 + 5,
	PIECES_MOST = 12,
	RELEASE_PIECE = 4 + 1 + 16,
	GRANT_HEAD = 32 + 4,
	GRANT_PIECE = 4 + 8 + 1 + 16,
	ROOM = GRANT_HEAD + BLOCKS * GRANT_PIECE,
	STEPS = 50000,
	LIMIT = 1 << 30
};

static char dir[SCRATCH_PATH_SIZE];

/* The model of a block. */
static struct {
	uint64_t version;
	uint8_t slot, tag[16];
	bool has_storage[2];
} model[BLOCKS];

static int
begin(void **state)
{
	size_t i;

	(void)state;
	scratch_create(dir);
	storage_begin(&smuf_store, dir, LIMIT);
	memset(model, 0, sizeof model);
	for (i = 0; i < BLOCKS; i++)
		model[i].slot = 1;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	storage_end();
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* Builds a grant from the model. Returns its size. */
static size_t
expected_grant(const struct memfile *f, uint64_t since, uint8_t out[ROOM])
{
	struct wire_writer w = wire_writer(out, ROOM);
	uint32_t count = 0, i;

	for (i = 0; i < BLOCKS; i++)
		count += model[i].version > since;
	wire_put_bytes(&w, storefile_of(f)->key, 32);
	wire_put_u32(&w, count);
	for (i = 0; i < BLOCKS; i++) {
		if (model[i].version <= since)
			continue;
		wire_put_u32(&w, i);
		wire_put_u64(&w, model[i].version);
		wire_put_u8(&w, model[i].slot);
		wire_put_bytes(&w, model[i].tag, sizeof model[i].tag);
	}
	return GRANT_HEAD + (size_t)count * GRANT_PIECE;
}

static void
expect_grant(const struct memfile *f, uint64_t since)
{
	uint8_t expected[ROOM], got[ROOM];
	size_t size = expected_grant(f, since, expected);

	assert_int_equal(storage_grant(f, since, got, sizeof got), size);
	assert_memory_equal(got, expected, size);
}

static uint64_t
grant_size(const struct memfile *f, uint64_t since)
{
	struct store_cursor c;

	smuf_store.grant_begin(f, since, &c);
	return c.size;
}

static void
expect_usage(const struct memfile *f)
{
	struct store_usage usage;
	uint64_t committed = 0, written = 0;
	size_t i;

	for (i = 0; i < BLOCKS; i++) {
		committed += model[i].version == 0 ? 0 : i < BLOCKS - 1 ? 4096 : 5;
		written += 4096 * ((uint64_t)model[i].has_storage[0] + model[i].has_storage[1]);
	}
	smuf_store.usage(f, &usage);
	assert_int_equal(usage.committed, committed);
	assert_int_equal(usage.written, written);
	assert_int_equal(usage.reserved, 2 * BLOCKS * 4096);
}

/* One piece of a release to build. */
struct piece {
	uint32_t block;
	uint8_t slot, tag[16];
};

static int
release(struct memfile *f, uint64_t grant, const struct piece *pieces, uint32_t count, int more)
{
	uint8_t bytes[4 + PIECES_MOST * RELEASE_PIECE + 1] = { 0 };
	struct wire_writer w = wire_writer(bytes, sizeof bytes);
	unsigned calls;
	uint32_t i;

	wire_put_u32(&w, count);
	for (i = 0; i < count; i++) {
		wire_put_u32(&w, pieces[i].block);
		wire_put_u8(&w, pieces[i].slot);
		wire_put_bytes(&w, pieces[i].tag, sizeof pieces[i].tag);
	}
	return storage_publish(f, smuf_store.release, grant, bytes,
	    (size_t)((long)(4 + count * RELEASE_PIECE) + more), &calls);
}

static int
judge(const struct piece *pieces, uint32_t count, int more)
{
	uint32_t i, j;

	if (more != 0)
		return -EPROTO;
	for (i = 0; i < count; i++) {
		if (pieces[i].block >= BLOCKS || pieces[i].slot > 1 ||
		    pieces[i].slot == model[pieces[i].block].slot)
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (pieces[j].block == pieces[i].block)
				return -EINVAL;
	}
	return 0;
}

static void
publish(const struct piece *pieces, uint32_t count, uint64_t grant)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		model[pieces[i].block].version = grant;
		model[pieces[i].block].slot = pieces[i].slot;
		model[pieces[i].block].has_storage[pieces[i].slot] = true;
		memcpy(model[pieces[i].block].tag, pieces[i].tag, sizeof pieces[i].tag);
	}
}

/* Draws pieces that are mostly valid. */
static uint32_t
draw_pieces(struct piece pieces[PIECES_MOST])
{
	uint32_t count = (uint32_t)random() % 5, i;
	size_t j;

	for (i = 0; i < count; i++) {
		pieces[i].block = (uint32_t)random() % BLOCKS;
		pieces[i].slot = !model[pieces[i].block].slot;
		if (random() % 30 == 0)
			pieces[i].slot = (uint8_t)(random() % 4);
		if (random() % 40 == 0)
			pieces[i].block = (uint32_t)random() % (BLOCKS + 2);
		if (random() % 200 == 0)
			pieces[i].block = (uint32_t)random() * 2 + 1;
		for (j = 0; j < sizeof pieces[i].tag; j++)
			pieces[i].tag[j] = (uint8_t)random();
	}
	return count;
}

static void
random_releases_are_accepted_refused_and_granted_as_in_the_model(void **state)
{
	struct memfile *f = storage_get("/m", PROTOCOL_VERSION_2);
	unsigned accepted = 0, refused = 0, malformed = 0;
	struct piece pieces[PIECES_MOST];
	uint64_t grant;
	uint32_t count;
	int more, verdict, r;

	(void)state;
	srandom(7);
	assert_int_equal(memfile_map(f, SEGMENT, LIMIT), 0);
	for (grant = 1; grant <= STEPS; grant++) {
		count = draw_pieces(pieces);
		more = random() % 20 != 0 ? 0 : random() % 2 == 0 ? 1 : -1;
		verdict = judge(pieces, count, more);
		r = release(f, grant, pieces, count, more);
		if (r != verdict)
			fail_msg("grant %lu: expected %d, got %d", (unsigned long)grant, verdict,
			    r);
		if (r == 0)
			publish(pieces, count, grant);
		accepted += r == 0;
		refused += r == -EINVAL;
		malformed += r == -EPROTO;
		expect_grant(f, 0);
		expect_grant(f, grant - 1);
		expect_grant(f, (uint64_t)random() % grant);
		expect_usage(f);
	}
	assert_true(accepted > STEPS / 4 && refused > STEPS / 20 && malformed > STEPS / 50);
	memfile_put(f);
}

static void
put_count(uint8_t *bytes, uint32_t count)
{
	struct wire_writer w = wire_writer(bytes, 4);

	wire_put_u32(&w, count);
}

static void
every_block_of_a_large_segment_in_one_release(void **state)
{
	enum { COUNT = 65536, SIZE = 4 + COUNT * RELEASE_PIECE };
	struct memfile *f = storage_get("/m", PROTOCOL_VERSION_2);
	uint8_t *bytes = calloc(1, SIZE + RELEASE_PIECE);
	struct wire_writer w = wire_writer(bytes, SIZE);
	struct store_usage usage;
	unsigned calls;
	uint32_t i;

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(memfile_map(f, 256u << 20, LIMIT), 0);
	wire_put_u32(&w, COUNT);
	for (i = COUNT; i-- > 0;) {
		wire_put_u32(&w, i);
		wire_put_u8(&w, 0);
		wire_put_bytes(&w, "0123456789abcdef", 16);
	}
	assert_int_equal(storage_publish(f, smuf_store.release, 1, bytes, SIZE, &calls), 0);
	assert_true(calls > 64);
	assert_int_equal(grant_size(f, 0), GRANT_HEAD + (size_t)COUNT * GRANT_PIECE);
	assert_int_equal(grant_size(f, 1), GRANT_HEAD);
	smuf_store.usage(f, &usage);
	assert_int_equal(usage.committed, 256u << 20);
	/* A piece more than there are blocks is refused before any of them is read. */
	put_count(bytes, COUNT + 1);
	assert_int_equal(storage_publish(f, smuf_store.release, 2, bytes, SIZE + RELEASE_PIECE,
			     &calls),
	    -EINVAL);
	assert_int_equal(calls, 1);
	put_count(bytes, COUNT);
	/* The last piece is invalid: none counts. */
	bytes[SIZE - RELEASE_PIECE + 4] = 1;
	for (i = 0; i + 1 < COUNT; i++)
		bytes[4 + i * RELEASE_PIECE + 4] = 1;
	bytes[SIZE - RELEASE_PIECE + 4] = 0;
	assert_int_equal(storage_publish(f, smuf_store.release, 2, bytes, SIZE, &calls), -EINVAL);
	assert_true(calls > 64);
	assert_int_equal(grant_size(f, 1), GRANT_HEAD);
	free(bytes);
	memfile_put(f);
}

static void
keys_are_random_and_of_one_life(void **state)
{
	struct memfile *a = storage_get("/a", PROTOCOL_VERSION_2),
		       *b = storage_get("/b", PROTOCOL_VERSION_2);
	uint8_t keys[3][32], zeros[32] = { 0 };

	(void)state;
	memcpy(keys[0], storefile_of(a)->key, 32);
	memcpy(keys[1], storefile_of(b)->key, 32);
	assert_int_equal(memfile_map(a, 100, LIMIT), 0);
	assert_memory_equal(keys[0], storefile_of(a)->key, 32);
	memfile_put(a);
	a = storage_get("/a", PROTOCOL_VERSION_2);
	memcpy(keys[2], storefile_of(a)->key, 32);
	assert_memory_not_equal(keys[0], keys[1], 32);
	assert_memory_not_equal(keys[0], keys[2], 32);
	assert_memory_not_equal(keys[1], keys[2], 32);
	assert_memory_not_equal(keys[0], zeros, 32);
	memfile_put(a);
	memfile_put(b);
}

/* A file that the host refuses leaves nothing behind, and another name works. */
static void
a_name_that_the_host_refuses_makes_no_file(void **state)
{
	struct memfile *f = NULL, *other;
	char path[SCRATCH_PATH_SIZE + 32];

	(void)state;
	snprintf(path, sizeof path, "%s/m", dir);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(memfile_get(&storage.tree, "/m", 2, PROTOCOL_OPEN_CREATE,
			     PROTOCOL_VERSION_1, storage.account, &f),
	    -EEXIST);
	assert_null(f);
	assert_int_equal(storage.tree.count, 0);
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	other = storage_get("/other", PROTOCOL_VERSION_1);
	memfile_put(other);
	assert_int_equal(unlink(path), 0);
	memfile_put(storage_get("/m", PROTOCOL_VERSION_2));
}

static void
names_become_files_only_when_they_are_one_component(void **state)
{
	static const char *const bad[] = { "a", "/", "//", "/a/", "/a/b", "a/b", "/.", "/..", ".",
		"..", "/.smufserver.lock", "/a.segment", "/.segment", ".segment", "/../x" };
	static const char *const good[] = { "/a", "/...", "/.a", "/a.segmentx", "/asegment",
		"/segment", "/.smufserver.lockx", "/\xff\n" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (smuf_store.check_name(bad[i], strlen(bad[i])) != -EINVAL)
			fail_msg("%s: expected -EINVAL", bad[i]);
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		if (smuf_store.check_name(good[i], strlen(good[i])) != 0)
			fail_msg("%s: expected 0", good[i]);
	assert_int_equal(smuf_store.name_limit, 128);
	/* The longest one with the longest suffix is still a name of a file. */
	assert_true(FILENAME_LIMIT + sizeof FILENAME_SUFFIX < 255);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(random_releases_are_accepted_refused_and_granted_as_in_the_model),
		TEST(every_block_of_a_large_segment_in_one_release),
		TEST(keys_are_random_and_of_one_life),
		TEST(a_name_that_the_host_refuses_makes_no_file),
		TEST(names_become_files_only_when_they_are_one_component),
	};

	log_open("test_smuf_store", NULL, LOG_LEVEL_NONE);
	return cmocka_run_group_tests_name("smuf store", tests, NULL, NULL);
}
