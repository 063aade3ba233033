#include "tests/hostile/peer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "smuf/sealdelta.h"
#include "tests/hostile/rig.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	SHED_SIZE = 256 * 1024,
	STREAM_SIZE = 64 * 1024,
	RELEASE_TAG = 3,
	BODY_SEGMENT = 256 * SIZE_MIB,
	GRANT_SIZE = 8 * SIZE_MIB,
	NAME_SIZE = 64,
	WAIT_MS = 10,
	AT_ONCE = 256
};

/* The context of this process's peers. */
static SSL_CTX *
context(const struct rig *rig)
{
	static SSL_CTX *ctx;

	if (ctx == NULL)
		ctx = raw_context(rig->daemon.config.pki, RIG_ATTACKER_CERTIFICATE);
	return ctx;
}

/* Begins a session, of version 2 or 1. */
static bool
begin(struct raw *r, const struct rig *rig, bool version_2)
{
	struct buf b = { 0 };
	bool is_served;

	atomic_fetch_add(&rig->shared->attempts, 1);
	raw_connect_plain(r, &rig->daemon);
	if (version_2)
		raw_put(&b, OP_HELLO, "ww", (uint32_t)PROTOCOL_VERSION_2, (uint32_t)0);
	raw_put(&b, OP_NEW_FDTABLE, "");
	is_served = raw_handshake(r, context(rig)) == 0 &&
	    raw_send(r, buf_data(&b), buf_size(&b)) && (!version_2 || raw_listen(r)) &&
	    raw_listen(r);
	buf_fini(&b);
	if (is_served)
		return true;
	atomic_fetch_add(&rig->shared->ended, 1);
	raw_close(r);
	return false;
}

bool
peer_try(struct raw *r, const struct rig *rig)
{
	return begin(r, rig, true);
}

void
peer_connect(struct raw *r, const struct rig *rig)
{
	if (!begin(r, rig, true))
		fail_msg("the server refuses a peer in its limits");
}

void
peer_connect_v1(struct raw *r, const struct rig *rig)
{
	if (!begin(r, rig, false))
		fail_msg("the server refuses a peer of version 1 in its limits");
}

size_t
peer_shed(struct raw *r)
{
	static uint8_t nowhere[SHED_SIZE];
	size_t size = 0;
	ssize_t n;

	while ((n = recv(r->fd, nowhere, sizeof nowhere, MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	r->has_ended |= n == 0 || errno != EAGAIN;
	return size;
}

void
peer_wait(const struct raw *r, bool to_send)
{
	struct pollfd p = { .fd = r->fd, .events = (short)(POLLIN | (to_send ? POLLOUT : 0)) };

	poll(&p, 1, WAIT_MS);
}

/* Sends what it can of b, and takes it out. Returns the number of bytes. */
static size_t
send_some(struct raw *r, struct buf *b)
{
	size_t n = raw_send_some(r, buf_data(b), buf_size(b));

	buf_consume(b, n);
	return n;
}

size_t
peer_exchange(struct raw *r, struct buf *b)
{
	return send_some(r, b) + peer_shed(r);
}

bool
peer_send(struct raw *r, struct buf *b, uint64_t until)
{
	while (buf_size(b) > 0 && !r->has_ended && clock_now() < until)
		if (peer_exchange(r, b) == 0)
			peer_wait(r, true);
	return buf_size(b) == 0;
}

/* Takes the whole frames from r->in, at most left of them; adds those that failed to *failed. */
static size_t
take_replies(struct raw *r, size_t left, size_t *failed)
{
	size_t count = 0;
	struct frame f;

	while (count < left && buf_size(&r->in) >= FRAME_HEADER_SIZE) {
		f = frame_get(buf_data(&r->in));
		if (buf_size(&r->in) < (size_t)FRAME_HEADER_SIZE + f.body_size)
			break;
		buf_consume(&r->in, (size_t)FRAME_HEADER_SIZE + f.body_size);
		*failed += frame_untagged(f.code) != 0;
		count++;
	}
	return count;
}

size_t
peer_ask(struct raw *r, struct buf *b, size_t replies)
{
	size_t failed = 0, before;

	while (buf_size(b) > 0 || replies > 0) {
		before = buf_size(b) + replies;
		send_some(r, b);
		raw_pump(r);
		replies -= take_replies(r, replies, &failed);
		if (r->has_ended && replies > 0)
			fail_msg("the server closed the connection of a peer in its limits");
		if (buf_size(b) + replies == before)
			peer_wait(r, buf_size(b) > 0);
	}
	return failed;
}

void
peer_put_acquire(struct buf *b, uint16_t tag, uint32_t fd, int mode)
{
	raw_put(b, frame_tagged(tag, OP_ACQUIRE), "wbwq", fd, mode, PROTOCOL_TIMEOUT_NEVER,
	    UINT64_C(0));
}

size_t
peer_grant_size(const struct daemon *d, uint32_t size)
{
	size_t delta = d->config.is_smuf ?
	    SEALDELTA_GRANT_HEAD_SIZE +
		(size_t)size_block_count(size) * SEALDELTA_GRANT_PIECE_SIZE :
	    DELTA_COUNT_SIZE + DELTA_PIECE_HEADER_SIZE + (size_t)size;

	return FRAME_HEADER_SIZE + 8 + 8 + delta;
}

void
peer_put_release(struct buf *b, uint16_t tag, uint32_t fd, uint64_t grant, bool has_segment)
{
	raw_put(b, frame_tagged(tag, OP_RELEASE), has_segment ? "wqbw" : "wqb", fd, grant,
	    PROTOCOL_RELEASE_ONE_WAY, (uint32_t)0);
}

uint32_t
peer_publication_size(const struct daemon *d, uint32_t size)
{
	uint32_t delta = d->config.is_smuf ? size_block_count(size) * SEALDELTA_RELEASE_PIECE_SIZE :
					     DELTA_PIECE_HEADER_SIZE + size;

	return PEER_RELEASE_FIXED + delta;
}

void
peer_put_same(struct buf *b, int value, size_t size)
{
	uint8_t *room = buf_reserve(b, size);

	assert_non_null(room);
	memset(room, value, size);
	buf_commit(b, size);
}

void
peer_put_u32(struct buf *b, uint32_t value)
{
	const uint8_t bytes[] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
		(uint8_t)(value >> 8), (uint8_t)value };

	assert_int_equal(buf_append(b, bytes, sizeof bytes), 0);
}

void
peer_put_head(struct buf *b, uint32_t fd, uint64_t grant, uint32_t delta_size, uint32_t count)
{
	peer_put_u32(b, frame_tagged(RELEASE_TAG, OP_RELEASE));
	peer_put_u32(b, PEER_RELEASE_FIXED + delta_size);
	peer_put_u32(b, fd);
	peer_put_u32(b, (uint32_t)(grant >> 32));
	peer_put_u32(b, (uint32_t)grant);
	peer_put_same(b, 0, 1); /* flags */
	peer_put_u32(b, count);
}

/* The same for a publication: what follows is pieces of smdish or blocks of smuf. */
static void
put_publication_head(struct buf *b, const struct daemon *d, uint32_t fd, uint64_t grant,
    uint32_t size)
{
	peer_put_head(b, fd, grant, peer_publication_size(d, size) - PEER_RELEASE_FIXED,
	    d->config.is_smuf ? size_block_count(size) : 1);
	if (d->config.is_smuf)
		return;
	peer_put_u32(b, 0);
	peer_put_u32(b, size);
}

/* The value of the bytes, or tags, of a publication: another one each time. */
static int
fill(unsigned published)
{
	return PEER_FILL + (int)(published % PEER_FILLS);
}

/* Appends block of smuf's delta. */
static void
put_block(struct buf *b, uint32_t block, unsigned published)
{
	peer_put_u32(b, block);
	peer_put_same(b, (int)(published % 2), 1);
	peer_put_same(b, fill(published), SEALBOX_TAG_SIZE);
}

void
peer_put_publication(struct buf *b, const struct daemon *d, uint32_t fd, uint64_t grant,
    uint32_t size, unsigned published)
{
	uint32_t i;

	put_publication_head(b, d, fd, grant, size);
	if (!d->config.is_smuf)
		peer_put_same(b, fill(published), size);
	for (i = 0; d->config.is_smuf && i < size_block_count(size); i++)
		put_block(b, i, published);
}

void
peer_stream_publication(struct raw *r, const struct daemon *d, uint32_t fd, uint64_t grant,
    uint32_t size, unsigned published, uint32_t left)
{
	uint32_t rest = FRAME_HEADER_SIZE + peer_publication_size(d, size) - left, part, block = 0;
	struct buf b = { 0 };

	put_publication_head(&b, d, fd, grant, size);
	while (rest > 0) {
		while (buf_size(&b) < STREAM_SIZE && d->config.is_smuf)
			put_block(&b, block++, published);
		if (buf_size(&b) < STREAM_SIZE)
			peer_put_same(&b, fill(published), STREAM_SIZE - buf_size(&b));
		part = buf_size(&b) < rest ? (uint32_t)buf_size(&b) : rest;
		assert_true(raw_send(r, buf_data(&b), part));
		buf_consume(&b, part);
		rest -= part;
	}
	buf_fini(&b);
}

void
peer_open_many(struct raw *r, const char *prefix, uint32_t count, uint32_t size)
{
	struct buf b = { 0 };
	char name[NAME_SIZE];
	uint32_t i;

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%s%u", prefix, i);
		raw_put(&b, OP_OPEN, "s", name);
		if (size != 0)
			raw_put(&b, OP_MMAP, "ww", i, size);
	}
	assert_int_equal(peer_ask(r, &b, count * (size != 0 ? 2 : 1)), 0);
	buf_fini(&b);
}

/* A few at once: the requests of all would be as large as the segments together. */
void
peer_publish_many(struct raw *r, const struct daemon *d, uint32_t count, uint32_t size)
{
	struct buf b = { 0 };
	uint32_t fd, replies = 0;

	for (fd = 0; fd < count; fd++) {
		peer_put_acquire(&b, 1, fd, PROTOCOL_EXCLUSIVE);
		peer_put_publication(&b, d, fd, 1, size, 0);
		replies += 2;
		if (replies >= AT_ONCE || fd == count - 1 || buf_size(&b) > SIZE_MIB) {
			assert_int_equal(peer_ask(r, &b, replies), 0);
			replies = 0;
		}
	}
	buf_fini(&b);
}

void
peer_open(struct raw *r, const char *name, uint32_t size)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	uint32_t fd = raw_open(r, name, 0), status;

	do {
		status = raw_ask(r, OP_MMAP, "ww", fd, size);
		if (status == 0)
			return;
		patience_breathe();
	} while (status == ENOMEM && clock_now() < deadline);
	fail_msg("MMAP of %u bytes: expected 0, got %s", size, status_name(status));
}

void
peer_open_published(struct raw *r, const struct daemon *d, const char *name, uint32_t size)
{
	uint64_t deadline = patience_until(PATIENCE_MS), grant;
	uint32_t status;

	peer_open(r, name, size);
	/* The memory for bodies is scarce while others publish, too. */
	do {
		grant = peer_acquire(r, 0, 0);
		peer_stream_publication(r, d, 0, grant, size, 0, 0);
		assert_true(raw_listen(r));
		status = frame_untagged(r->code);
	} while (status == ENOMEM && clock_now() < deadline);
	if (status != 0)
		fail_msg("RELEASE of %u bytes: expected 0, got %s", size, status_name(status));
}

void
peer_read_grants(struct raw *r, const struct daemon *d, const char *name, uint64_t until)
{
	struct buf b = { 0 };
	uint64_t grant = 1;

	peer_open_published(r, d, name, GRANT_SIZE);
	do {
		while (buf_size(&b) < PEER_BURST) {
			peer_put_acquire(&b, 1, 0, PROTOCOL_EXCLUSIVE);
			peer_put_release(&b, 2, 0, ++grant, true);
		}
	} while (peer_send(r, &b, until));
	buf_fini(&b);
}

void
peer_leave_bodies(struct rig *rig, uint64_t until)
{
	struct raw keeper, r;
	struct buf b = { 0 };
	uint64_t grant;

	peer_connect(&keeper, rig);
	peer_open(&keeper, "/begun", BODY_SEGMENT);
	do {
		peer_connect(&r, rig);
		raw_open(&r, "/begun", 0);
		grant = peer_acquire(&r, 0, 0);
		peer_put_head(&b, 0, grant,
		    protocol_largest_body(BODY_SEGMENT) - PEER_RELEASE_FIXED, 1);
		assert_true(raw_send(&r, buf_data(&b), buf_size(&b)));
		buf_consume(&b, buf_size(&b));
		raw_close(&r);
	} while (clock_now() < until);
	raw_close(&keeper);
	buf_fini(&b);
}

uint64_t
peer_acquire(struct raw *r, uint32_t fd, uint64_t since)
{
	assert_string_equal(RAW_ASK(r, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_NEVER, since),
	    "0");
	return raw_first_u64(r);
}
