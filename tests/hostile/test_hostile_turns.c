/*
 * Every turn ends: no peer keeps the server to itself, however many requests it has sent, and
 * however fast it reads the replies.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/protocol.h"
#include "tests/hostile/parts.h"
#include "tests/hostile/peer.h"

enum { LARGEST = 256 * SIZE_MIB, SESSIONS = 4, FILES = PROTOCOL_DESCRIPTORS_MOST };

/* Sends the requests of b again and again, in all count sessions. */
static void
repeat(struct raw *r, int count, const struct buf *b, uint64_t until)
{
	struct buf unsent[SESSIONS] = { 0 };
	size_t moved;
	int i;

	while (clock_now() < until) {
		for (i = 0, moved = 0; i < count; i++) {
			if (buf_size(&unsent[i]) == 0)
				assert_int_equal(buf_append(&unsent[i], buf_data(b), buf_size(b)),
				    0);
			moved += peer_exchange(&r[i], &unsent[i]);
		}
		if (moved == 0)
			peer_wait(&r[0], true);
	}
	for (i = 0; i < count; i++)
		buf_fini(&unsent[i]);
}

/* A session opens a file, maps it and closes it; with smuf it makes and removes two host files. */
static void
open_map_close(struct rig *rig, uint64_t until)
{
	struct buf b = { 0 };
	struct raw r;

	peer_connect(&r, rig);
	while (buf_size(&b) < PEER_BURST) {
		raw_put(&b, OP_OPEN, "s", "/a");
		raw_put(&b, OP_MMAP, "ww", (uint32_t)0, (uint32_t)1);
		raw_put(&b, OP_CLOSE, "w", (uint32_t)0);
	}
	repeat(&r, 1, &b, until);
	raw_close(&r);
	buf_fini(&b);
}

/* Grants of a segment, each released at once; the peer throws them away as fast as they come. */
static void
grants_read_fast(struct rig *rig, uint64_t until)
{
	struct raw r;

	peer_connect(&r, rig);
	peer_read_grants(&r, &rig->daemon, "/large", until);
	raw_close(&r);
}

/* ACQUIREs of all that the session has opened, with tags from 1. */
static void
put_acquires(struct buf *b)
{
	uint32_t fd;

	for (fd = 0; fd < FILES; fd++)
		peer_put_acquire(b, (uint16_t)(1 + fd), fd, PROTOCOL_EXCLUSIVE);
}

/* Sessions that hold all the locks that they can send the shortest requests there are. */
static void
requests_beside_held_locks(struct rig *rig, uint64_t until)
{
	struct raw r[SESSIONS];
	struct buf b = { 0 };
	char prefix[32];
	int i;

	for (i = 0; i < SESSIONS; i++) {
		snprintf(prefix, sizeof prefix, "/held%d.", i);
		peer_connect(&r[i], rig);
		peer_open_many(&r[i], prefix, FILES, 0);
		put_acquires(&b);
		assert_int_equal(peer_ask(&r[i], &b, FILES), 0);
	}
	while (buf_size(&b) < PEER_BURST)
		raw_put(&b, OP_COUNT + 1, ""); /* ENOSYS */
	repeat(r, SESSIONS, &b, until);
	for (i = 0; i < SESSIONS; i++)
		raw_close(&r[i]);
	buf_fini(&b);
}

/* Sessions that wait for all the locks that they can cancel what is not there. */
static void
cancels_beside_waits(struct rig *rig, uint64_t until)
{
	struct raw holder, r[SESSIONS];
	struct buf b = { 0 };
	int i;

	peer_connect(&holder, rig);
	peer_open_many(&holder, "/awaited", FILES, 0);
	put_acquires(&b);
	assert_int_equal(peer_ask(&holder, &b, FILES), 0);
	for (i = 0; i < SESSIONS; i++) {
		peer_connect(&r[i], rig);
		peer_open_many(&r[i], "/awaited", FILES, 0);
		put_acquires(&b);
		assert_int_equal(peer_ask(&r[i], &b, 0), 0);
	}
	while (buf_size(&b) < PEER_BURST)
		raw_put(&b, OP_CANCEL, "w", UINT32_MAX);
	repeat(r, SESSIONS, &b, until);
	for (i = 0; i < SESSIONS; i++)
		raw_close(&r[i]);
	raw_close(&holder);
	buf_fini(&b);
}

/* STAT of a large segment, all of it published. */
static void
stat_of_a_large_segment(struct rig *rig, uint64_t until)
{
	struct buf b = { 0 };
	struct raw r;

	peer_connect(&r, rig);
	peer_open_published(&r, &rig->daemon, "/largest", LARGEST);
	while (buf_size(&b) < PEER_BURST / 2)
		raw_put(&b, OP_STAT, "w", (uint32_t)0);
	repeat(&r, 1, &b, until);
	raw_close(&r);
	buf_fini(&b);
}

int
main(void)
{
	static const struct rig_attack all = {
		.name = "bursts of requests",
		.prepares_ms = PARTS_PREPARE_MS,
		.memory = PARTS_SEGMENTS + PARTS_BUDGET,
	};
	static const struct parts_part parts[] = {
		{ "requests beside 1024 held locks", RIG_BOTH, requests_beside_held_locks },
		{ "CANCELs beside 1024 waiting ACQUIREs", RIG_BOTH, cancels_beside_waits },
		{ "STAT of 256 MiB", RIG_SMUF, stat_of_a_large_segment },
		{ "OPEN, MMAP, CLOSE in bursts", RIG_BOTH, open_map_close },
		{ "grants of 8 MiB, read fast", RIG_BOTH, grants_read_fast },
	};

	return parts_main(&all, parts, sizeof parts / sizeof parts[0]);
}
