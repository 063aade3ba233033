/*
 * smdish's store against a model of it: whatever the pieces of a release, however it is cut into
 * calls, it counts as a whole in its last call or not at all; and grants are the model's bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/size.h"
#include "common/wire/delta.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smdish/store.h"
#include "tests/unit/storage.h"

enum {
	BLOCKS = 70,
	SEGMENT = (BLOCKS - 1) * SIZE_BLOCK + 5,
	PIECES_MOST = BLOCKS + 1,
	BODY_MOST = 4 + PIECES_MOST * 8 + SEGMENT + 1,
	STEPS = 3000,
	REPLICAS = 32,
	LARGE = 64 * SIZE_MIB
};

/* The model: the bytes, and the version of each block; and the bytes as they were. */
static uint8_t model[SEGMENT], replicas[REPLICAS][SEGMENT];
static uint64_t versions[BLOCKS];

static int
begin(void **state)
{
	(void)state;
	srandom(3);
	memset(model, 0, sizeof model);
	memset(versions, 0, sizeof versions);
	storage_begin(&smdish_store, NULL, STORAGE_SEGMENT_MOST);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	storage_end();
	return 0;
}

struct piece {
	uint32_t offset, length;
};

/* Draws ascending pieces; most draws are valid. */
static uint32_t
draw_pieces(struct piece pieces[PIECES_MOST])
{
	static const uint32_t most[] = { SEGMENT, 3 * SIZE_BLOCK, SIZE_BLOCK / 8 };
	uint32_t count = 0, from = 0, longest = most[random() % 3];

	while (count < PIECES_MOST - 1 && from < SEGMENT && random() % 12 != 0) {
		pieces[count].offset = from + (uint32_t)random() % (longest / 4 + 1);
		if (pieces[count].offset >= SEGMENT)
			break;
		pieces[count].length = 1 + (uint32_t)random() % longest;
		if (pieces[count].length > SEGMENT - pieces[count].offset)
			pieces[count].length = SEGMENT - pieces[count].offset;
		from = pieces[count].offset + pieces[count].length;
		count++;
	}
	if (count > 0 && random() % 10 == 0)
		pieces[random() % count].offset = (uint32_t)random() % (SEGMENT + 2);
	if (count > 0 && random() % 30 == 0)
		pieces[random() % count].length = 0;
	return count;
}

static int
judge(const struct piece *pieces, uint32_t count, int more)
{
	uint32_t i, from = 0;

	for (i = 0; i < count; i++) {
		/* The byte that is missing is one of the last piece. */
		if (more < 0 && i == count - 1)
			return -EPROTO;
		if (pieces[i].length == 0 || pieces[i].offset < from ||
		    pieces[i].offset > SEGMENT || pieces[i].length > SEGMENT - pieces[i].offset)
			return -EINVAL;
		from = pieces[i].offset + pieces[i].length;
	}
	return more == 0 ? 0 : -EPROTO;
}

static size_t
encode(const struct piece *pieces, uint32_t count, uint8_t fill, uint8_t *out)
{
	struct wire_writer w = wire_writer(out, BODY_MOST);
	uint32_t i;

	wire_put_u32(&w, count);
	for (i = 0; i < count; i++) {
		wire_put_u32(&w, pieces[i].offset);
		wire_put_u32(&w, pieces[i].length);
		memset(wire_put_room(&w, pieces[i].length), fill, pieces[i].length);
	}
	return BODY_MOST - w.left;
}

static void
model_publish(const struct piece *pieces, uint32_t count, uint8_t fill, uint64_t grant)
{
	uint32_t i, block, last;

	for (i = 0; i < count; i++) {
		memset(model + pieces[i].offset, fill, pieces[i].length);
		last = (pieces[i].offset + pieces[i].length - 1) / SIZE_BLOCK;
		for (block = pieces[i].offset / SIZE_BLOCK; block <= last; block++)
			versions[block] = grant;
	}
}

/* Builds a grant from the model. Returns its size. */
static size_t
expected_grant(uint64_t since, uint8_t *out)
{
	struct wire_writer w = wire_writer(out, BODY_MOST),
			   count = wire_writer(wire_put_room(&w, 4), 4);
	uint32_t pieces = 0, first, end, length;

	for (first = 0; first < BLOCKS; first = end + 1) {
		for (end = first; end < BLOCKS && versions[end] > since; end++)
			continue;
		if (end == first)
			continue;
		length = (end == BLOCKS ? SEGMENT : end * SIZE_BLOCK) - first * SIZE_BLOCK;
		wire_put_u32(&w, first * SIZE_BLOCK);
		wire_put_u32(&w, length);
		wire_put_bytes(&w, model + (size_t)first * SIZE_BLOCK, length);
		pieces++;
	}
	wire_put_u32(&count, pieces);
	return BODY_MOST - w.left;
}

/* To a replica without a version go whole blocks. */
static void
expect_whole_grant(const struct memfile *f)
{
	static uint8_t expected[BODY_MOST], got[BODY_MOST];
	size_t size = expected_grant(0, expected);

	assert_int_equal(storage_grant(f, 0, got, sizeof got), size);
	assert_memory_equal(got, expected, size);
}

/* Brings a replica of version since to the model's bytes, with at most those of whole blocks. */
static void
expect_grant(const struct memfile *f, uint64_t since)
{
	static uint8_t whole[BODY_MOST], got[BODY_MOST], replica[SEGMENT];
	size_t size = storage_grant(f, since, got, sizeof got);
	struct wire_reader r = wire_reader(got, size);
	struct delta_piece piece;
	struct delta d;
	uint32_t pieces;

	memcpy(replica, replicas[since % REPLICAS], SEGMENT);
	delta_begin(&d, &r, SEGMENT);
	pieces = d.left;
	assert_true(pieces <= BLOCKS);
	while (delta_next(&d, &piece) > 0) {
		memcpy(replica + piece.offset, piece.bytes, piece.length);
		assert_true(versions[piece.offset / SIZE_BLOCK] > since);
	}
	assert_true(wire_is_done(&r) && d.left == 0);
	assert_memory_equal(replica, model, SEGMENT);
	assert_true(
	    size <= expected_grant(since, whole) + (size_t)pieces * DELTA_PIECE_HEADER_SIZE);
}

static void
expect_lock(const struct memfile *f)
{
	static uint8_t got[4 + SEGMENT];
	struct wire_reader r = wire_reader(got, sizeof got);

	assert_int_equal(storage_lock(f, got, sizeof got), sizeof got);
	assert_int_equal(wire_get_u32(&r), SEGMENT);
	assert_memory_equal(got + 4, model, SEGMENT);
}

static void
expect_usage(const struct memfile *f)
{
	struct store_usage usage;

	smdish_store.usage(f, &usage);
	assert_true(usage.committed <= SEGMENT);
	assert_true(usage.written <= usage.reserved);
}

/* One release of random pieces. Returns its result. */
static int
step(struct memfile *f, uint64_t grant)
{
	static uint8_t body[BODY_MOST];
	struct piece pieces[PIECES_MOST];
	uint32_t count = draw_pieces(pieces);
	uint8_t fill = (uint8_t)random();
	size_t size = encode(pieces, count, fill, body);
	int more = count == 0 || random() % 20 != 0 ? 0 : random() % 2 == 0 ? 1 : -1;
	int verdict = judge(pieces, count, more), r;
	unsigned calls;

	r = storage_publish(f, smdish_store.release, grant, body, (size_t)((long)size + more),
	    &calls);
	if (r != verdict)
		fail_msg("grant %lu: expected %d, got %d", (unsigned long)grant, verdict, r);
	if (r == 0)
		model_publish(pieces, count, fill, grant);
	return r;
}

static void
random_releases_are_accepted_refused_and_granted_as_in_the_model(void **state)
{
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, SEGMENT);
	unsigned accepted = 0, refused = 0, malformed = 0;
	uint64_t grant;
	int r;

	(void)state;
	for (grant = 1; grant <= STEPS; grant++) {
		r = step(f, grant);
		accepted += r == 0;
		refused += r == -EINVAL;
		malformed += r == -EPROTO;
		if (grant > 1)
			expect_grant(f, grant - 1);
		if (grant > REPLICAS)
			expect_grant(f, grant - 1 - (uint64_t)random() % REPLICAS);
		memcpy(replicas[grant % REPLICAS], model, SEGMENT);
		if (grant % 16 == 0) {
			expect_lock(f);
			expect_whole_grant(f);
		}
		expect_usage(f);
	}
	assert_true(accepted > STEPS / 2 && refused > STEPS / 50 && malformed > STEPS / 100);
	memfile_put(f);
}

static void
random_unlocks_publish_the_blocks_that_differ(void **state)
{
	static uint8_t body[4 + SEGMENT];
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_1, SEGMENT);
	struct wire_writer w = wire_writer(body, sizeof body);
	uint32_t offset, length, i;
	uint64_t grant;
	unsigned calls;

	(void)state;
	wire_put_u32(&w, SEGMENT);
	for (grant = 1; grant <= STEPS / 4; grant++) {
		memcpy(body + 4, model, SEGMENT);
		for (i = (uint32_t)random() % 4; i > 0; i--) {
			offset = (uint32_t)random() % SEGMENT;
			length = (uint32_t)random() % (SEGMENT - offset);
			memset(body + 4 + offset, (int)(random() % 3), length);
		}
		for (i = 0; i < BLOCKS; i++)
			if (memcmp(body + 4 + i * SIZE_BLOCK, model + i * SIZE_BLOCK,
				size_of_block(SEGMENT, i)) != 0)
				versions[i] = grant;
		memcpy(model, body + 4, SEGMENT);
		assert_int_equal(storage_publish(f, smdish_store.unlock, grant, body, sizeof body,
				     &calls),
		    0);
		assert_true(calls > 1);
		expect_lock(f);
		if (grant > 1)
			expect_grant(f, grant - 1);
		memcpy(replicas[grant % REPLICAS], model, SEGMENT);
		expect_whole_grant(f);
		expect_usage(f);
	}
	memfile_put(f);
}

static void
publish(struct memfile *f, uint64_t grant, const struct piece *pieces, uint32_t count)
{
	static uint8_t body[BODY_MOST];
	size_t size = encode(pieces, count, (uint8_t)grant, body);
	unsigned calls;

	assert_int_equal(storage_publish(f, smdish_store.release, grant, body, size, &calls), 0);
	model_publish(pieces, count, (uint8_t)grant, grant);
}

/* What a replica of version since gets: these pieces, with the model's bytes. */
static void
expect_pieces(const struct memfile *f, uint64_t since, const struct piece *pieces, uint32_t count)
{
	static uint8_t expected[BODY_MOST], got[BODY_MOST];
	struct wire_writer w = wire_writer(expected, sizeof expected);
	size_t size;
	uint32_t i;

	wire_put_u32(&w, count);
	for (i = 0; i < count; i++) {
		wire_put_u32(&w, pieces[i].offset);
		wire_put_u32(&w, pieces[i].length);
		wire_put_bytes(&w, model + pieces[i].offset, pieces[i].length);
	}
	size = sizeof expected - w.left;
	assert_int_equal(storage_grant(f, since, got, sizeof got), size);
	assert_memory_equal(got, expected, size);
}

#define PIECES(...) \
	(struct piece[]){ __VA_ARGS__ }, \
	    sizeof((struct piece[]){ __VA_ARGS__ }) / sizeof(struct piece)

/* A replica that lacks a few bytes of a block gets these. */
static void
a_grant_has_the_bytes_that_changed(void **state)
{
	enum { B = SIZE_BLOCK };
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, SEGMENT);

	(void)state;
	publish(f, 1, PIECES({ 0, 4 * B }));
	publish(f, 2, PIECES({ B + 10, 5 }, { 2 * B, 1 }));
	expect_pieces(f, 1, PIECES({ B + 10, 5 }, { 2 * B, 1 }));
	/* Two publications of a block, and two pieces of one in a publication, are one range. */
	publish(f, 3, PIECES({ B + 100, 4 }, { B + 200, 4 }));
	expect_pieces(f, 1, PIECES({ B + 10, 194 }, { 2 * B, 1 }));
	expect_pieces(f, 2, PIECES({ B + 10, 194 }));
	/* A range that has become too large begins anew: who has the version before gets that. */
	publish(f, 4, PIECES({ 2 * B - 8, 16 }));
	expect_pieces(f, 3, PIECES({ 2 * B - 8, 8 }, { 2 * B, 8 }));
	expect_pieces(f, 2, PIECES({ B, B }, { 2 * B, 8 }));
	expect_pieces(f, 0, PIECES({ 0, 4 * B }));
	/* Larger parts are whole blocks, which neighbours join. */
	publish(f, 5, PIECES({ 5 * B + 1, 2049 }, { 6 * B, B }, { 7 * B, 2048 }));
	expect_pieces(f, 4, PIECES({ 5 * B, 2 * B }, { 7 * B, 2048 }));
	/* The last block is shorter. */
	publish(f, 6, PIECES({ SEGMENT - 1, 1 }));
	expect_pieces(f, 5, PIECES({ SEGMENT - 1, 1 }));
	/* What changed 64 versions ago and earlier, hardly a replica lacks. */
	publish(f, 7, PIECES({ 8 * B, 1 }));
	publish(f, 69, PIECES({ 9 * B, 1 }));
	publish(f, 70, PIECES({ 8 * B + 70, 1 }));
	expect_pieces(f, 6, PIECES({ 8 * B, 71 }, { 9 * B, 1 }));
	publish(f, 134, PIECES({ 9 * B, 1 }));
	publish(f, 135, PIECES({ 8 * B + 135, 1 }));
	expect_pieces(f, 134, PIECES({ 8 * B + 135, 1 }));
	expect_pieces(f, 70, PIECES({ 8 * B + 135, 1 }, { 9 * B, 1 }));
	expect_pieces(f, 69, PIECES({ 8 * B, B }, { 9 * B, 1 }));
	memfile_put(f);
}

/* Encodes a piece of one byte in every other block of a large segment. */
static size_t
encode_scattered(uint8_t *out, size_t room, uint32_t count)
{
	struct wire_writer w = wire_writer(out, room);
	uint32_t i;

	wire_put_u32(&w, count);
	for (i = 0; i < count; i++) {
		wire_put_u32(&w, i * 2 * SIZE_BLOCK);
		wire_put_u32(&w, 1);
		wire_put_u8(&w, 1);
	}
	return room - w.left;
}

/* Many pieces are as long as many bytes. */
static void
a_release_of_many_pieces_is_cut(void **state)
{
	enum { COUNT = LARGE / SIZE_BLOCK / 2 };
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, LARGE);
	size_t room = 4 + 9 * (size_t)COUNT, size;
	uint8_t *body = malloc(room);
	unsigned calls;

	(void)state;
	assert_non_null(body);
	size = encode_scattered(body, room, COUNT);
	assert_int_equal(storage_publish(f, smdish_store.release, 1, body, size, &calls), 0);
	assert_in_range(calls, 2 * COUNT / 512, 2 * COUNT / 512 + COUNT / 16);
	free(body);
	memfile_put(f);
}

/* A sender makes at most a piece a block; the count is refused before any piece is read. */
static void
more_pieces_than_blocks_are_refused_at_once(void **state)
{
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, SEGMENT);
	uint8_t body[4 + (BLOCKS + 1) * 9];
	struct wire_writer w = wire_writer(body, sizeof body);
	unsigned calls;
	uint32_t i;

	(void)state;
	wire_put_u32(&w, BLOCKS + 1);
	for (i = 0; i < BLOCKS + 1; i++) {
		wire_put_u32(&w, i);
		wire_put_u32(&w, 1);
		wire_put_u8(&w, 1);
	}
	assert_int_equal(storage_publish(f, smdish_store.release, 1, body, sizeof body, &calls),
	    -EINVAL);
	assert_int_equal(calls, 1);
	memfile_put(f);
}

/* Work that is short reads no clock. */
static uint64_t
read_clock(void)
{
	fail_msg("the clock was read");
	return 0;
}

static void
a_small_release_reads_no_clock(void **state)
{
	const struct budget b = { .clock = read_clock };
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, SEGMENT);
	struct piece pieces[] = { { 0, 4096 }, { 3 * SIZE_BLOCK, 3 * SIZE_BLOCK } };
	static uint8_t body[BODY_MOST];
	struct store_publication p = { .grant = 1 };

	(void)state;
	p.body = wire_reader(body, encode(pieces, 2, 7, body));
	assert_int_equal(smdish_store.release(f, &p, &b), 0);
	model_publish(pieces, 2, 7, 1);
	expect_whole_grant(f);
	memfile_put(f);
}

/* Publishes all of a large segment. */
static void
fill(struct memfile *f)
{
	uint8_t *body = malloc(4 + 8 + LARGE);
	struct wire_writer w = wire_writer(body, 4 + 8 + LARGE);
	unsigned calls;

	assert_non_null(body);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, LARGE);
	memset(wire_put_room(&w, LARGE), 1, LARGE);
	assert_int_equal(storage_publish(f, smdish_store.release, 1, body, 4 + 8 + LARGE, &calls),
	    0);
	assert_in_range(calls, LARGE / (64 * 1024), LARGE / (32 * 1024));
	free(body);
}

/* The memory of a segment that has ended is charged until it is wiped, piece by piece. */
static void
a_segment_is_wiped_in_pieces_and_charged_until_then(void **state)
{
	struct memfile *f = storage_get_mapped("m", PROTOCOL_VERSION_2, LARGE), *next;
	uint64_t *used = &storage.account->used[ACCOUNT_SEGMENTS];
	unsigned turns = 0;

	(void)state;
	fill(f);
	memfile_put(f);
	assert_int_equal(storage.tree.count, 0);
	assert_int_equal(storage.tree.ending, LARGE);
	assert_int_equal(*used, LARGE);
	next = storage_get("n", PROTOCOL_VERSION_2);
	storage.accounts.limit[ACCOUNT_SEGMENTS] = LARGE + LARGE / 2;
	assert_int_equal(memfile_map(next, LARGE, LARGE), -EINPROGRESS);
	assert_int_equal(memfile_map(next, 2 * LARGE, 2 * LARGE), -ENOMEM);
	while (schedule_run(&storage.schedule, &storage_spent)) {
		assert_true(*used == LARGE || schedule_is_idle(&storage.schedule));
		turns++;
	}
	assert_in_range(turns, LARGE / (256 * 1024), LARGE / (256 * 1024) + 1);
	assert_int_equal(storage.tree.ending, 0);
	assert_int_equal(*used, 0);
	assert_int_equal(memfile_map(next, LARGE, LARGE), 0);
	memfile_put(next);
}

/* What was never published was never used. */
static void
a_segment_without_bytes_ends_at_once(void **state)
{
	(void)state;
	memfile_put(storage_get_mapped("m", PROTOCOL_VERSION_2, LARGE));
	assert_true(schedule_is_idle(&storage.schedule));
	assert_int_equal(storage.account->used[ACCOUNT_SEGMENTS], 0);
}

/* A byte costs a page, of all that there are. */
static void
segments_are_charged_in_whole_pages(void **state)
{
	struct memfile *a = storage_get("a", PROTOCOL_VERSION_2),
		       *b = storage_get("b", PROTOCOL_VERSION_2);
	uint64_t limit = 16 * SIZE_BLOCK, used = storage.account->used[ACCOUNT_MEMORY];

	(void)state;
	storage.accounts.limit[ACCOUNT_SEGMENTS] = limit;
	assert_true(used >= 2 * sizeof *a);
	assert_int_equal(memfile_map(a, 14 * SIZE_BLOCK + 1, LARGE), 0);
	assert_int_equal(storage.account->used[ACCOUNT_SEGMENTS], 15 * SIZE_BLOCK);
	assert_int_equal(memfile_map(b, 1, LARGE), -ENOMEM);
	memfile_put(a);
	assert_int_equal(memfile_map(b, 1, LARGE), 0);
	assert_int_equal(storage.account->used[ACCOUNT_SEGMENTS], SIZE_BLOCK);
	memfile_put(b);
	assert_int_equal(storage.account->used[ACCOUNT_MEMORY], 0);
}

static int
create_without_a_directory(struct memfile *f)
{
	(void)f;
	return -ENOENT;
}

static int
map_without_a_directory(struct memfile *f, uint32_t size)
{
	(void)f;
	(void)size;
	return -ENOENT;
}

/* ENOENT says that no memory file has the name; no error of the host's may say so. */
static void
an_enoent_of_the_store_is_eio(void **state)
{
	struct store_ops store = smdish_store;
	struct memfile *f = storage_get("m", PROTOCOL_VERSION_2), *other;

	(void)state;
	store.create = create_without_a_directory;
	store.map = map_without_a_directory;
	storage.tree.store = &store;
	assert_int_equal(memfile_map(f, 1, LARGE), -EIO);
	assert_int_equal(memfile_get(&storage.tree, "n", 1, PROTOCOL_OPEN_CREATE,
			     PROTOCOL_VERSION_2, storage.account, &other),
	    -EIO);
	assert_int_equal(memfile_get(&storage.tree, "n", 1, 0, PROTOCOL_VERSION_2, storage.account,
			     &other),
	    -ENOENT);
	storage.tree.store = &smdish_store;
	memfile_put(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(random_releases_are_accepted_refused_and_granted_as_in_the_model),
		TEST(random_unlocks_publish_the_blocks_that_differ),
		TEST(a_grant_has_the_bytes_that_changed),
		TEST(a_release_of_many_pieces_is_cut),
		TEST(more_pieces_than_blocks_are_refused_at_once),
		TEST(a_small_release_reads_no_clock),
		TEST(a_segment_is_wiped_in_pieces_and_charged_until_then),
		TEST(a_segment_without_bytes_ends_at_once),
		TEST(segments_are_charged_in_whole_pages),
		TEST(an_enoent_of_the_store_is_eio),
	};

	log_open("test_smdish_store", NULL, LOG_LEVEL_NONE);
	return cmocka_run_group_tests_name("smdish store", tests, NULL, NULL);
}
