/*
 * No single operation makes others wait, however much there is to do for it: the server does it in
 * pieces.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/hostile/parts.h"
#include "tests/hostile/peer.h"
#include "tests/stress/patience.h"

enum {
	LARGEST = 256 * SIZE_MIB,
	FILES = PROTOCOL_DESCRIPTORS_MOST,
	PUBLISHED = 64 * SIZE_KIB,       /* of a segment, when there are FILES */
	PUBLISHED_FULL = 896 * SIZE_KIB, /* together below 15/16 of -m */
	MIRRORED = 6,                    /* sessions of FILES locks each */
	MIRRORED_FULL = 50,
	MIRRORED_MS = 500, /* once they are open, which takes a while */
	MIRRORED_FULL_MS = 3000,
	PIECE_SIZE = DELTA_PIECE_HEADER_SIZE + 1
};

/* Segments. */

/* A RELEASE that publishes 256 MiB, and the next grant. */
static void
release_largest(struct rig *rig, uint64_t until)
{
	unsigned published = 0;
	struct raw r;

	peer_connect(&r, rig);
	peer_open(&r, "/released", LARGEST);
	do {
		uint64_t grant = peer_acquire(&r, 0, published);

		peer_stream_publication(&r, &rig->daemon, 0, grant, LARGEST, published++, 0);
		assert_true(raw_listen(&r));
	} while (clock_now() < until);
	raw_close(&r);
}

/* A grant of 256 MiB, to a peer that has none of it and reads it at once. */
static void
grant_largest(struct rig *rig, uint64_t until)
{
	struct buf b = { 0 };
	uint64_t grant = 1;
	struct raw r;
	size_t size;

	peer_connect(&r, rig);
	peer_open_published(&r, &rig->daemon, "/granted", LARGEST);
	do {
		peer_put_acquire(&b, 1, 0, PROTOCOL_EXCLUSIVE);
		peer_put_release(&b, 2, 0, ++grant, true);
		assert_true(raw_send(&r, buf_data(&b), buf_size(&b)));
		buf_consume(&b, buf_size(&b));
		for (size = 0; size < peer_grant_size(&rig->daemon, LARGEST) && !r.has_ended;) {
			peer_wait(&r, false);
			size += peer_shed(&r);
		}
	} while (clock_now() < until);
	raw_close(&r);
	buf_fini(&b);
}

/*
 * Opens and maps as many new files as a session can have, in an empty table. Returns false when
 * there is no memory: the server may be busy with those of the last round.
 */
static bool
open_many(struct raw *r, uint32_t size)
{
	static unsigned rounds;
	struct buf b = { 0 };
	char name[32];
	uint32_t fd;
	size_t failed;

	rounds++;
	raw_put(&b, OP_NEW_FDTABLE, "");
	for (fd = 0; fd < FILES; fd++) {
		snprintf(name, sizeof name, "/many%u.%u", rounds, fd);
		raw_put(&b, OP_OPEN, "s", name);
		raw_put(&b, OP_MMAP, "ww", fd, size);
	}
	failed = peer_ask(r, &b, 1 + 2 * FILES);
	buf_fini(&b);
	return failed == 0;
}

/* The same, and publishes all their segments. */
static void
publish_many(struct raw *r, struct rig *rig)
{
	uint32_t size = rig_is_full() ? PUBLISHED_FULL : PUBLISHED;
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (!open_many(r, size))
		if (clock_now() > deadline)
			fail_msg("1024 segments of %u bytes cannot be opened", size);
	peer_publish_many(r, &rig->daemon, FILES, size);
}

/* 1024 published segments end, with their host files: closed one by one in one go. */
static void
close_many(struct rig *rig, uint64_t until)
{
	struct buf b = { 0 };
	struct raw r;
	uint32_t fd;

	do {
		peer_connect(&r, rig);
		publish_many(&r, rig);
		for (fd = 0; fd < FILES; fd++)
			raw_put(&b, OP_CLOSE, "w", fd);
		assert_int_equal(peer_ask(&r, &b, FILES), 0);
		raw_close(&r);
	} while (clock_now() < until);
	buf_fini(&b);
}

/* The same by the end of their session. */
static void
disconnect_with_many(struct rig *rig, uint64_t until)
{
	struct raw r;

	do {
		peer_connect(&r, rig);
		publish_many(&r, rig);
		raw_close(&r);
	} while (clock_now() < until);
}

/* A RELEASE of as many pieces as the largest body has: one byte each, far more than blocks. */
static void
release_in_bytes(struct rig *rig, uint64_t until)
{
	uint32_t pieces = (protocol_largest_body(LARGEST) - PEER_RELEASE_FIXED) / PIECE_SIZE, i;
	struct buf b = { 0 };
	uint32_t status;
	struct raw r;

	peer_connect(&r, rig);
	peer_open(&r, "/bytes", LARGEST);
	do {
		peer_put_head(&b, 0, peer_acquire(&r, 0, 0), pieces * PIECE_SIZE, pieces);
		for (i = 0; i < pieces; i++) {
			peer_put_u32(&b, i);
			peer_put_u32(&b, 1);
			peer_put_same(&b, 0x5a, 1);
			if (buf_size(&b) >= 64 * SIZE_KIB || i == pieces - 1) {
				assert_true(raw_send(&r, buf_data(&b), buf_size(&b)));
				buf_consume(&b, buf_size(&b));
			}
		}
		assert_true(raw_listen(&r));
		status = frame_untagged(r.code);
		if (status != 0 && status != EINVAL)
			fail_msg("a RELEASE in pieces of one byte: expected 0 or EINVAL, got %s",
			    status_name(status));
	} while (clock_now() < until);
	raw_close(&r);
	buf_fini(&b);
}

/* Tables. */

/* A session has 1024 segments, and takes an empty table instead. */
static void
new_tables(struct rig *rig, uint64_t until)
{
	struct raw r;

	peer_connect(&r, rig);
	do {
		publish_many(&r, rig);
		assert_string_equal(RAW_ASK(&r, OP_NEW_FDTABLE, ""), "0");
	} while (clock_now() < until);
	raw_close(&r);
}

/* A session copies its table of 1024 files; another one gives up 1024 segments for it. */
static void
attached_tables(struct rig *rig, uint64_t until)
{
	struct raw parent, child;

	peer_connect(&parent, rig);
	peer_connect(&child, rig);
	peer_open_many(&parent, "/parent", FILES, 0);
	do {
		publish_many(&child, rig);
		assert_string_equal(RAW_ASK(&parent, OP_FORK, ""), "0");
		assert_string_equal(RAW_ASK(&child, OP_CHILD_ATTACH, "q", raw_first_u64(&parent)),
		    "0");
	} while (clock_now() < until);
	raw_close(&parent);
	raw_close(&child);
}

/* Locks. */

/* 1024 ACQUIREs wait; all are cancelled, the last one first. */
static void
cancel_many(struct rig *rig, uint64_t until)
{
	struct raw holder, r;
	struct buf b = { 0 };
	uint32_t fd;

	peer_connect(&holder, rig);
	peer_connect(&r, rig);
	peer_open_many(&holder, "/lock", FILES, 0);
	peer_open_many(&r, "/lock", FILES, 0);
	for (fd = 0; fd < FILES; fd++)
		peer_put_acquire(&b, 1, fd, PROTOCOL_EXCLUSIVE);
	assert_int_equal(peer_ask(&holder, &b, FILES), 0);
	do {
		for (fd = 0; fd < FILES; fd++)
			peer_put_acquire(&b, (uint16_t)(1 + fd), fd, PROTOCOL_EXCLUSIVE);
		for (fd = FILES; fd-- > 0;)
			raw_put(&b, frame_tagged(FILES + 1, OP_CANCEL), "w", 1 + fd);
		assert_int_equal(peer_ask(&r, &b, 2 * FILES), FILES);
	} while (clock_now() < until);
	raw_close(&holder);
	raw_close(&r);
	buf_fini(&b);
}

/* Takes and gives back each lock of the session once. */
static void
change_locks(struct raw *r, uint64_t grant)
{
	struct buf b = { 0 };
	uint32_t fd;

	for (fd = 0; fd < FILES; fd++) {
		peer_put_acquire(&b, 1, fd, PROTOCOL_EXCLUSIVE);
		peer_put_release(&b, 2, fd, grant, false);
	}
	assert_int_equal(peer_ask(r, &b, FILES), 0);
	buf_fini(&b);
}

/* The locks of many files change all the time: each has a mirror on the host. */
static void
change_many_locks(struct rig *rig, uint64_t until)
{
	int sessions = rig_is_full() ? MIRRORED_FULL : MIRRORED, i;
	struct raw *r = calloc((size_t)sessions, sizeof *r);
	uint64_t grant = 0;
	char prefix[32];

	assert_non_null(r);
	for (i = 0; i < sessions; i++) {
		snprintf(prefix, sizeof prefix, "/mirror%d.", i);
		peer_connect(&r[i], rig);
		peer_open_many(&r[i], prefix, FILES, 0);
	}
	until = clock_after_ms(clock_now(), rig_is_full() ? MIRRORED_FULL_MS : MIRRORED_MS);
	do {
		grant++;
		for (i = 0; i < sessions; i++)
			change_locks(&r[i], grant);
	} while (clock_now() < until);
	for (i = 0; i < sessions; i++)
		raw_close(&r[i]);
	free(r);
}

int
main(void)
{
	static const struct rig_attack all = {
		.name = "long operations",
		.prepares_ms = PARTS_PREPARE_MS,
		.memory = PARTS_SEGMENTS + PARTS_BUDGET,
	};
	static const struct parts_part parts[] = {
		{ "RELEASE of 256 MiB", RIG_BOTH, release_largest },
		{ "grants of 256 MiB", RIG_BOTH, grant_largest },
		{ "CLOSE of 1024 segments", RIG_BOTH, close_many },
		{ "the end of a session with 1024 segments", RIG_BOTH, disconnect_with_many },
		{ "the header of 256 MiB, then the end", RIG_BOTH, peer_leave_bodies },
		{ "RELEASE in pieces of one byte", RIG_SMDISH, release_in_bytes },
		{ "NEW_FDTABLE with 1024 segments", RIG_BOTH, new_tables },
		{ "CHILD_ATTACH with 1024 segments", RIG_BOTH, attached_tables },
		{ "CANCEL of 1024 waiting ACQUIREs", RIG_BOTH, cancel_many },
		{ "mirrors of 51200 locks", RIG_SMUF, change_many_locks },
	};

	return parts_main(&all, parts, sizeof parts / sizeof parts[0]);
}
