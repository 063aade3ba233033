/*
 * The server's memory stays below what its options say, whatever its peers make it keep: the
 * segments (-m), one budget for replies and bodies (-B), and RIG_MEMORY for all the rest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "tests/hostile/peer.h"
#include "tests/hostile/report.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

#define MIB INT64_C(1048576)
#define BUDGET (256 * MIB) /* the default of -B */

enum {
	FILES = PROTOCOL_DESCRIPTORS_MOST,
	FORKS = PROTOCOL_FORKS_MOST,
	FORK_ROUNDS = 12,
	PREPARE_MS = 20 * 1000,
	STEP_MS = 5000 /* to make the server keep something: it may take its time */
};

/* Forks. */

/* Sends b, whatever the server answers; empties it. */
static void
insist(struct raw *r, struct buf *b)
{
	peer_send(r, b, patience_until(STEP_MS));
	buf_fini(b);
}

/* Opens all files that the session may have, and forks as often as it may. */
static void
fork_often(struct raw *r, int number)
{
	struct buf b = { 0 };
	char name[64];
	int i;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "/fork%d.%d", number, i);
		raw_put(&b, OP_OPEN, "s", name);
	}
	for (i = 0; i < FORKS; i++)
		raw_put(&b, OP_FORK, "");
	insist(r, &b);
}

/* Sessions fork as often as they may, and leave; their forks live on. */
static void
fork_and_leave(struct rig *rig)
{
	struct raw r;
	int rounds;

	for (rounds = 0; rounds < FORK_ROUNDS || rig_is_on(rig); rounds++) {
		if (!peer_try(&r, rig))
			continue;
		fork_often(&r, 0);
		raw_close(&r);
	}
}

/* Readers. */

enum { READERS = 16, READ_SIZE = 256 * SIZE_MIB, SIP = 4096 };

/* Takes a little of what has come. */
static void
sip(const struct raw *r)
{
	uint8_t bytes[SIP];

	(void)!recv(r->fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* Waits until the server has begun to send, without reading it. */
static void
await_something(const struct raw *r)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	while (poll(&p, 1, 0) == 0 && clock_now() < deadline)
		patience_breathe();
}

/* Readers that wait for a lock, and are granted it, with a published segment, at once. */
static void
grant_at_once(struct rig *rig, struct raw *writer, struct raw *readers)
{
	struct buf b = { 0 };
	int i;

	peer_connect(writer, rig);
	peer_open_published(writer, &rig->daemon, "/read", READ_SIZE);
	peer_acquire(writer, 0, 1);
	for (i = 0; i < READERS; i++) {
		peer_connect(&readers[i], rig);
		raw_open(&readers[i], "/read", 0);
		peer_put_acquire(&b, 1, 0, PROTOCOL_SHARED);
		assert_true(raw_send(&readers[i], buf_data(&b), buf_size(&b)));
		buf_consume(&b, buf_size(&b));
	}
	peer_put_release(&b, 1, 0, 2, true);
	assert_true(raw_send(writer, buf_data(&b), buf_size(&b)));
	for (i = 0; i < READERS; i++)
		await_something(&readers[i]);
	buf_fini(&b);
}

/* The readers read nothing, and later a little at a time. */
static void
read_slowly(struct rig *rig)
{
	struct raw writer, readers[READERS];
	uint64_t slow;
	int i;

	grant_at_once(rig, &writer, readers);
	rig_restart(rig);
	slow = clock_now() + (rig->until - clock_now()) / 2;
	while (rig_is_on(rig)) {
		for (i = 0; i < READERS && clock_now() > slow; i++)
			sip(&readers[i]);
		patience_breathe();
	}
	for (i = 0; i < READERS; i++)
		raw_close(&readers[i]);
	raw_close(&writer);
}

/* Small segments. */

enum { SMALL_SESSIONS = 65, NOTE_TRIES = 0, NOTE_FAILURES = 1 };

/* An honest client connects. Returns false when the server refuses it. */
static bool
connect_honest(struct raw *r, const struct rig *rig)
{
	static SSL_CTX *ctx;

	if (ctx == NULL)
		ctx = raw_context(rig->daemon.config.pki, HONEST_CERTIFICATE);
	raw_connect_plain(r, &rig->daemon);
	return raw_handshake(r, ctx) == 0;
}

/* Sends b, count requests. Returns true when each succeeds. */
static bool
succeeds(struct raw *r, struct buf *b, int count)
{
	bool is_right = raw_send(r, buf_data(b), buf_size(b));

	while (is_right && count-- > 0)
		is_right = raw_listen(r) && frame_untagged(r->code) == 0;
	return is_right;
}

/* It opens a new file and publishes a segment. Returns false when that fails. */
static bool
publish_fresh(const struct rig *rig, int i)
{
	struct buf b = { 0 };
	char name[32];
	struct raw r;
	bool is_right;

	snprintf(name, sizeof name, "/fresh%d", i);
	raw_put(&b, OP_HELLO, "ww", (uint32_t)PROTOCOL_VERSION_2, (uint32_t)0);
	raw_put(&b, OP_NEW_FDTABLE, "");
	raw_put(&b, OP_OPEN, "s", name);
	raw_put(&b, OP_MMAP, "ww", (uint32_t)0, (uint32_t)SIZE_MIB);
	peer_put_acquire(&b, 1, 0, PROTOCOL_EXCLUSIVE);
	peer_put_publication(&b, &rig->daemon, 0, 1, SIZE_MIB, 0);
	is_right = connect_honest(&r, rig) && succeeds(&r, &b, 6);
	raw_close(&r);
	buf_fini(&b);
	return is_right;
}

/* A session has 1024 segments of a byte, and publishes half of them. Any of it may be refused. */
static void
publish_small(struct raw *r, const struct rig *rig, int session)
{
	struct buf b = { 0 };
	char name[32];
	uint32_t fd;

	for (fd = 0; fd < FILES; fd++) {
		snprintf(name, sizeof name, "/small%d.%u", session, fd);
		raw_put(&b, OP_OPEN, "s", name);
		raw_put(&b, OP_MMAP, "ww", fd, (uint32_t)1);
	}
	peer_ask(r, &b, 2 * FILES);
	/* Every other one: the kernel merges neighbours that are alike. */
	for (fd = 0; fd < FILES; fd += 2) {
		peer_put_acquire(&b, 1, fd, PROTOCOL_EXCLUSIVE);
		peer_put_publication(&b, &rig->daemon, fd, 1, 1, 0);
	}
	peer_ask(r, &b, FILES);
	buf_fini(&b);
}

/* More segments than the kernel gives mappings to a process, far below -m in bytes. */
static void
publish_many_small(struct rig *rig)
{
	struct raw *r = calloc(SMALL_SESSIONS, sizeof *r);
	int i, n = 0;

	assert_non_null(r);
	for (i = 0; i < SMALL_SESSIONS; i++)
		if (peer_try(&r[n], rig))
			publish_small(&r[n++], rig, i);
	rig_restart(rig);
	for (i = 0; rig_is_on(rig); i++) {
		atomic_fetch_add(&rig->shared->notes[NOTE_TRIES], 1);
		if (!publish_fresh(rig, i))
			atomic_fetch_add(&rig->shared->notes[NOTE_FAILURES], 1);
	}
	while (n > 0)
		raw_close(&r[--n]);
	free(r);
}

static void
expect_fresh_segments(struct rig *rig)
{
	unsigned long tries = atomic_load(&rig->shared->notes[NOTE_TRIES]);
	unsigned long failures = atomic_load(&rig->shared->notes[NOTE_FAILURES]);

	if (tries == 0 || failures > 0)
		report_fault(
		    "fresh segments of an honest client: %lu of %lu could not be published",
		    failures, tries);
}

/* Everything at once. */

enum {
	SESSIONS = PROTOCOL_SESSIONS_DEFAULT,
	SESSIONS_SHORT = 320,
	SUM_READERS = 64, /* with the writer */
	SUM_READ = 8 * SIZE_MIB,
	SUM_FORKERS = 12,
	SUM_BODIES = 15,
	SUM_BODY = 14 * SIZE_MIB, /* of a segment; all of them are below -m */
	SUM_LONG = 32             /* sessions with many files of long names, in the short form */
};

/* Publishes a segment, and grants it to all readers at once, who read no reply. */
static void
sum_readers(struct raw *r, struct rig *rig)
{
	struct buf b = { 0 };
	int i;

	peer_open_published(&r[0], &rig->daemon, "/sum.read", SUM_READ);
	peer_acquire(&r[0], 0, 1);
	for (i = 1; i < SUM_READERS; i++) {
		if (r[i].fd < 0)
			continue;
		raw_put(&b, OP_OPEN, "s", "/sum.read");
		peer_put_acquire(&b, 1, 0, PROTOCOL_SHARED);
		raw_send_some(&r[i], buf_data(&b), buf_size(&b));
		buf_consume(&b, buf_size(&b));
	}
	peer_put_release(&b, 1, 0, 2, true);
	insist(&r[0], &b);
}

/* A body, as large as the server keeps it, up to the last byte but one. */
static void
sum_body(struct raw *r, int number)
{
	uint32_t delta = protocol_largest_body(SUM_BODY) - PEER_RELEASE_FIXED, left;
	struct buf b = { 0 };
	char name[64];

	snprintf(name, sizeof name, "/sum.body%d", number);
	raw_put(&b, OP_OPEN, "s", name);
	raw_put(&b, OP_MMAP, "ww", (uint32_t)0, (uint32_t)SUM_BODY);
	peer_put_acquire(&b, 1, 0, PROTOCOL_EXCLUSIVE);
	peer_put_head(&b, 0, 1, delta, 1);
	for (left = delta - 1; left > 0; left -= left < SIZE_MIB ? left : SIZE_MIB) {
		peer_put_same(&b, 0x5a, left < SIZE_MIB ? left : SIZE_MIB);
		if (!peer_send(r, &b, patience_until(STEP_MS)))
			break;
	}
	buf_fini(&b);
}

/* 1024 descriptors. Files of smuf cost the host; there all sessions open the same ones. */
static void
sum_names(struct raw *r, struct rig *rig, int number)
{
	int most = rig->daemon.config.is_smuf ? PROTOCOL_SMUF_NAME_MOST : PROTOCOL_SMDISH_NAME_MOST;
	char name[PROTOCOL_SMDISH_NAME_MOST + 1];
	struct buf b = { 0 };
	int i;

	if (rig->daemon.config.is_smuf)
		number = 0;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "/%0*d.%04d", most - 6, number, i);
		raw_put(&b, OP_OPEN, "s", name);
	}
	insist(r, &b);
}

/* All sessions that one certificate gets, each with something that the server has to keep. */
static void
fill_everything(struct rig *rig)
{
	int sessions = rig_is_full() ? SESSIONS : SESSIONS_SHORT;
	int names = rig_is_full() ? SESSIONS : SUM_LONG, i, next = SUM_READERS;
	struct raw *r = calloc((size_t)sessions, sizeof *r);

	assert_non_null(r);
	for (i = 0; i < sessions; i++)
		peer_try(&r[i], rig);
	sum_readers(r, rig);
	for (i = 0; i < SUM_FORKERS; i++)
		fork_often(&r[next++], i);
	for (i = 0; i < SUM_BODIES; i++)
		sum_body(&r[next++], i);
	for (i = 0; i < names && next < sessions; i++)
		sum_names(&r[next++], rig, i);
	rig_restart(rig);
	while (rig_is_on(rig))
		patience_breathe();
	for (i = 0; i < sessions; i++)
		raw_close(&r[i]);
	free(r);
}

int
main(void)
{
	/* The last attack does what the first ones do, too: the short form leaves these out. */
	static const struct rig_attack attacks[] = {
		{ .name = "1024 files forked 256 times",
		    .daemons = RIG_BOTH,
		    .run = fork_and_leave,
		    .prepares_ms = PREPARE_MS,
		    .lingers_ms = PROTOCOL_FORK_GRACE_MS,
		    .memory = 64 * MIB + BUDGET,
		    .config = { .args = { "-m", "64M" } } },
		{ .name = "16 readers of 256 MiB who read slowly",
		    .daemons = RIG_BOTH,
		    .run = read_slowly,
		    .prepares_ms = PREPARE_MS,
		    .memory = 1024 * MIB + BUDGET,
		    .config = { .args = { "-m", "1G" } } },
		{ .name = "66560 segments of a byte",
		    .daemons = RIG_SMDISH,
		    .run = publish_many_small,
		    .check = expect_fresh_segments,
		    .prepares_ms = PREPARE_MS,
		    .memory = 512 * MIB + BUDGET,
		    .config = { .args = { "-m", "512M" } } },
		{ .name = "everything at once",
		    .daemons = RIG_BOTH,
		    .run = fill_everything,
		    .prepares_ms = PREPARE_MS,
		    .lingers_ms = PROTOCOL_FORK_GRACE_MS,
		    .memory = 256 * MIB + BUDGET,
		    .config = { .args = { "-m", "256M" } } },
	};
	const size_t count = sizeof attacks / sizeof attacks[0], first = rig_is_full() ? 0 : 2;

	return rig_main("memory", attacks + first, count - first);
}
