/*
 * A large RELEASE happens whole or not at all, although the server does it in pieces: nobody sees a
 * part of it, and it counts when the peer leaves behind its last byte, but not before.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/sealdelta.h"
#include "tests/hostile/peer.h"
#include "tests/hostile/rig.h"
#include "tests/stress/child.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

static struct daemon server;

/* What is released: a large body with either server, so that it is done in many pieces. */
static uint32_t
segment_size(void)
{
	return rig_is_full() || server.config.is_smuf ? 256 * SIZE_MIB : 64 * SIZE_MIB;
}

/* Opens the file; the first session that does so maps it. */
static void
begin(struct raw *r, uint32_t size)
{
	raw_connect(r, &server);
	raw_begin(r, true);
	assert_int_equal(raw_open(r, "/cut", size), 0);
}

/* Says that it wants the lock, and does not wait for it. */
static void
ask_for_lock(struct raw *r)
{
	struct buf b = { 0 };

	peer_put_acquire(&b, 1, 0, PROTOCOL_SHARED);
	assert_true(raw_send(r, buf_data(&b), buf_size(&b)));
	buf_fini(&b);
}

/* What STAT shows of a release. */
struct state {
	uint64_t version, committed;
	uint8_t type;
};

static struct state
stat_file(struct raw *r)
{
	struct protocol_stat stat;
	struct wire_reader body;

	assert_string_equal(RAW_ASK(r, OP_STAT, "w", (uint32_t)0), "0");
	body = wire_reader(buf_data(&r->body), buf_size(&r->body));
	protocol_get_stat(&body, &stat);
	return (struct state){ stat.version, stat.committed, stat.type };
}

static bool
is_same(const struct state *a, const struct state *b)
{
	return a->version == b->version && a->committed == b->committed && a->type == b->type;
}

/* Checks the pieces of a grant of the whole segment. */
static void
expect_bytes(struct wire_reader *body, uint32_t size)
{
	const uint8_t *bytes;

	assert_int_equal(wire_get_u32(body), 1);
	assert_int_equal(wire_get_u32(body), 0);
	assert_int_equal(wire_get_u32(body), size);
	bytes = wire_get_bytes(body, size);
	assert_non_null(bytes);
	assert_int_equal(bytes[0], PEER_FILL);
	assert_memory_equal(bytes, bytes + 1, size - 1);
}

/* The same for smuf: every block has version 1 and the tag of the publication. */
static void
expect_blocks(struct wire_reader *body, uint32_t size)
{
	uint32_t count = size_block_count(size), i;
	const uint8_t *tag;

	wire_get_bytes(body, SEALBOX_KEY_SIZE);
	assert_int_equal(wire_get_u32(body), count);
	for (i = 0; i < count; i++) {
		assert_int_equal(wire_get_u32(body), i);
		assert_int_equal(wire_get_u64(body), 1);
		assert_int_equal(wire_get_u8(body), 0);
		tag = wire_get_bytes(body, SEALBOX_TAG_SIZE);
		assert_non_null(tag);
		assert_int_equal(tag[0], PEER_FILL);
	}
}

/* Waits for the grant that was asked for: it shows the whole release, or nothing. */
static void
expect_grant(struct raw *r, uint32_t size, bool is_released)
{
	struct wire_reader body;

	assert_true(raw_listen(r));
	assert_string_equal(status_name(frame_untagged(r->code)), "0");
	body = wire_reader(buf_data(&r->body), buf_size(&r->body));
	assert_int_equal(wire_get_u64(&body), 2);
	assert_int_equal(wire_get_u64(&body), is_released ? 1 : 0);
	if (is_released && server.config.is_smuf)
		expect_blocks(&body, size);
	else if (is_released)
		expect_bytes(&body, size);
	else if (server.config.is_smuf)
		assert_int_equal(body.left, SEALBOX_KEY_SIZE + 4);
	else
		assert_int_equal(wire_get_u32(&body), 0);
	assert_false(body.failed);
}

/* In a child: releases the segment, and expects success. Never returns. */
static void
release_in_child(struct raw *writer, uint32_t size)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	peer_stream_publication(writer, &server, 0, 1, size, 0, 0);
	_exit(raw_listen(writer) && frame_untagged(writer->code) == 0 ? 0 : 1);
}

/* Looks until the state is not the old one. Returns the one that follows. */
static struct state
await_other_state(struct raw *watcher, const struct state *old)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	unsigned long looks = 0;
	struct state now;

	do {
		now = stat_file(watcher);
		looks++;
		if (clock_now() > deadline)
			fail_msg("the release does not come to its end");
	} while (is_same(&now, old));
	print_message("# %lu times the old state\n", looks - 1);
	assert_true(looks > 1);
	return now;
}

static void
stat_shows_the_old_state_or_the_new_one(void **state)
{
	struct state before, between, after;
	struct raw writer, reader, watcher;
	uint32_t size = segment_size();
	pid_t pid;

	(void)state;
	begin(&writer, size);
	begin(&reader, 0);
	begin(&watcher, 0);
	assert_int_equal(peer_acquire(&writer, 0, 0), 1);
	ask_for_lock(&reader);
	before = stat_file(&watcher);
	pid = child_begin();
	if (pid == 0)
		release_in_child(&writer, size);
	between = await_other_state(&watcher, &before);
	child_expect_success(pid);
	after = stat_file(&watcher);
	if (!is_same(&between, &after))
		fail_msg(
		    "between the old state and the new one (version %lu, %lu bytes) STAT "
		    "showed version %lu, %lu bytes",
		    (unsigned long)after.version, (unsigned long)after.committed,
		    (unsigned long)between.version, (unsigned long)between.committed);
	assert_int_equal(after.version, 1);
	assert_int_equal(after.committed, size);
	assert_int_equal(after.type, PROTOCOL_TYPE_SEGMENT);
	expect_grant(&reader, size, true);
	raw_close(&writer);
	raw_close(&reader);
	raw_close(&watcher);
}

/* A peer sends a RELEASE up to its last left bytes, and closes the connection. */
static void
leave(uint32_t left)
{
	uint32_t size = segment_size();
	struct raw writer, reader;

	begin(&writer, size);
	begin(&reader, 0);
	assert_int_equal(peer_acquire(&writer, 0, 0), 1);
	ask_for_lock(&reader);
	peer_stream_publication(&writer, &server, 0, 1, size, 0, left);
	raw_close(&writer);
	expect_grant(&reader, size, left == 0);
	raw_close(&reader);
}

static void
a_release_counts_whole_when_the_peer_leaves_behind_its_last_byte(void **state)
{
	(void)state;
	leave(0);
}

static void
a_release_without_its_last_byte_counts_nothing(void **state)
{
	(void)state;
	leave(1);
}

static void
half_a_release_counts_nothing(void **state)
{
	(void)state;
	leave(peer_publication_size(&server, segment_size()) / 2);
}

static int
start_smdish(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .has_keys = true });
	return 0;
}

static int
start_smuf(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .has_keys = true, .is_smuf = true });
	return 0;
}

static int
clear(void **state)
{
	(void)state;
	raw_abandon();
	daemon_fini(&server);
	return 0;
}

/* Each test has a server of its own: the file is new. */
#define CUT(start, f) cmocka_unit_test_setup_teardown(f, start, clear)
#define CUTS(start) \
	CUT(start, stat_shows_the_old_state_or_the_new_one), \
	    CUT(start, a_release_counts_whole_when_the_peer_leaves_behind_its_last_byte), \
	    CUT(start, a_release_without_its_last_byte_counts_nothing), \
	    CUT(start, half_a_release_counts_nothing)

int
main(void)
{
	static const struct CMUnitTest smdish[] = { CUTS(start_smdish) };
	static const struct CMUnitTest smuf[] = { CUTS(start_smuf) };
	int failed = cmocka_run_group_tests_name("smdish", smdish, NULL, NULL);

	return failed + cmocka_run_group_tests_name("smuf", smuf, NULL, NULL);
}
