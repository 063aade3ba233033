/*
 * Peers that exceed their limits: descriptors, forks, connections, unread replies. They get a
 * status or lose their connection; the server's memory stays bounded meanwhile and returns to its
 * size afterwards. In plaintext and through TLS.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/raw.h"
#include "tests/stress/siege.h"

#define PLACES_TEXT "24" /* -c of the servers */

enum {
	PLACES = 24,
	PEER_PLACES = PLACES - PLACES / 16, /* of one peer; all clients here have one certificate */
	PEER_HANDSHAKES = PROTOCOL_HANDSHAKES_MOST - PROTOCOL_HANDSHAKES_MOST / 16,
	LATE = 10,
	LARGE = SIZE_MIB,                    /* a segment, and its reply */
	DEAF = 8,                            /* peers that do not read */
	REQUESTS = 100,                      /* of each */
	KEPT_A_PEER = LARGE + 512 * SIZE_KIB /* one largest reply, and a session's own memory */
};

/* Opens files until the descriptors are used up. */
static void
open_all(struct raw *r)
{
	char name[32];
	uint32_t i;

	for (i = 0; i < PROTOCOL_DESCRIPTORS_MOST; i++) {
		snprintf(name, sizeof name, "/file%u", i);
		assert_int_equal(raw_open(r, name, 0), i);
	}
	assert_string_equal(RAW_ASK(r, OP_OPEN, "s", "/one too many"), "EMFILE");
}

static void
a_session_opens_1024_files_and_no_more(void **state)
{
	struct siege *s = *state;
	struct raw r;

	raw_connect(&r, &s->daemon);
	raw_begin(&r, true);
	open_all(&r);
	assert_string_equal(RAW_ASK(&r, OP_CLOSE, "w", UINT32_C(512)), "0");
	assert_int_equal(raw_open(&r, "/in the gap", 0), 512);
	assert_string_equal(RAW_ASK(&r, OP_OPEN, "s", "/one too many"), "EMFILE");
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
a_session_has_256_pending_forks_and_no_more(void **state)
{
	struct siege *s = *state;
	uint64_t idents[PROTOCOL_FORKS_MOST];
	struct raw parent, child;
	int i;

	raw_connect(&parent, &s->daemon);
	raw_connect(&child, &s->daemon);
	raw_begin(&parent, true);
	raw_begin(&child, true);
	open_all(&parent);
	for (i = 0; i < PROTOCOL_FORKS_MOST; i++) {
		assert_string_equal(RAW_ASK(&parent, OP_FORK, ""), "0");
		idents[i] = raw_first_u64(&parent);
	}
	assert_string_equal(RAW_ASK(&parent, OP_FORK, ""), "EMFILE");
	/* Each adopted fork makes room for another; adopted again, its ident is unknown. */
	assert_string_equal(RAW_ASK(&child, OP_CHILD_ATTACH, "q", idents[0]), "0");
	assert_string_equal(RAW_ASK(&parent, OP_FORK, ""), "0");
	idents[0] = raw_first_u64(&parent);
	assert_string_equal(RAW_ASK(&parent, OP_FORK, ""), "EMFILE");
	for (i = 0; i < PROTOCOL_FORKS_MOST; i++)
		assert_string_equal(RAW_ASK(&child, OP_CHILD_ATTACH, "q", idents[i]), "0");
	assert_string_equal(RAW_ASK(&child, OP_CHILD_ATTACH, "q", idents[7]), "EINVAL");
	assert_string_equal(RAW_ASK(&child, OP_CLOSE, "w", (uint32_t)PROTOCOL_DESCRIPTORS_MOST - 1),
	    "0");
	raw_close(&parent);
	raw_close(&child);
	siege_lift(s, 0, 0, "");
}

static void
a_segment_above_the_limits_is_refused(void **state)
{
	struct siege *s = *state;
	char name[32];
	struct raw r;
	uint32_t fd;
	int i;

	raw_connect(&r, &s->daemon);
	raw_begin(&r, true);
	fd = raw_open(&r, "/large", 0);
	assert_string_equal(RAW_ASK(&r, OP_MMAP, "ww", fd, UINT32_MAX), "EMSGSIZE");
	assert_string_equal(RAW_ASK(&r, OP_MMAP, "ww", fd, UINT32_C(256) * SIZE_MIB + 1),
	    "EMSGSIZE");
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "/large%d", i);
		raw_open(&r, name, UINT32_C(256) * SIZE_MIB);
	}
	/* The honest segment leaves no room for the fourth. */
	assert_string_equal(RAW_ASK(&r, OP_MMAP, "ww", fd, UINT32_C(256) * SIZE_MIB), "ENOMEM");
	assert_string_equal(RAW_ASK(&r, OP_MMAP, "ww", fd, UINT32_C(128) * SIZE_MIB), "0");
	siege_expect_peak(s, 2 * SIEGE_TOLERANCE); /* reserved only, but with block maps */
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
a_connection_above_the_limit_is_refused(void **state)
{
	struct raw peers[PEER_PLACES], late;
	struct siege *s = *state;
	int i;

	/* The honest client has one place. */
	for (i = 0; i < PEER_PLACES - 1; i++) {
		raw_connect(&peers[i], &s->daemon);
		raw_begin(&peers[i], true);
	}
	for (i = 0; i < LATE; i++) {
		raw_connect(&late, &s->daemon);
		raw_expect_end(&late);
		raw_close(&late);
	}
	siege_serve(s);
	for (i = 0; i < PEER_PLACES - 1; i++) {
		assert_string_equal(RAW_ASK(&peers[i], OP_CANCEL, "w", (uint32_t)0), "0");
		raw_close(&peers[i]);
	}
	siege_lift(s, 0, LATE, "refused: all sessions that it may have are taken (-c)");
}

static void
unfinished_handshakes_keep_nobody_out(void **state)
{
	enum { ATTACKERS = 2 * PEER_HANDSHAKES };
	struct raw attackers[ATTACKERS];
	struct siege *s = *state;
	int i, ended = 0;

	for (i = 0; i < ATTACKERS; i++) {
		raw_connect_plain(&attackers[i], &s->daemon);
		if (i % PLACES == 0)
			siege_serve(s);
	}
	/* The newest attackers fill the peer's places; a newcomer still gets one. */
	for (i = 0; i < ATTACKERS - PEER_HANDSHAKES; i++)
		raw_expect_end(&attackers[i]);
	siege_lift(s, PEER_HANDSHAKES - 1, ATTACKERS - PEER_HANDSHAKES,
	    "its handshake is the oldest");
	/* The attackers that are left disconnect now. */
	siege_attack(s);
	for (i = 0; i < ATTACKERS; i++) {
		raw_pump(&attackers[i]);
		ended += attackers[i].has_ended;
		raw_close(&attackers[i]);
	}
	assert_int_equal(ended, ATTACKERS - PEER_HANDSHAKES + 1);
	siege_lift(s, 0, SIEGE_ANY, "");
}

/* Peers that do not read. */

/*
 * Fills the segment of descriptor 0, so that all of it is published. Returns the grant of version
 * 2, else 0.
 */
static uint64_t
publish_all(struct raw *r, bool version_2)
{
	uint8_t *bytes = malloc(LARGE);
	uint64_t grant = 0;

	assert_non_null(bytes);
	memset(bytes, 0x5a, LARGE);
	if (version_2) {
		assert_string_equal(RAW_ASK(r, OP_ACQUIRE, "wbwq", (uint32_t)0, PROTOCOL_EXCLUSIVE,
					PROTOCOL_TIMEOUT_NEVER, UINT64_C(0)),
		    "0");
		grant = raw_first_u64(r);
		assert_string_equal(RAW_ASK(r, OP_RELEASE, "wqbwwwx", (uint32_t)0, grant, 0,
					(uint32_t)1, (uint32_t)0, (uint32_t)LARGE, bytes,
					(size_t)LARGE),
		    "0");
	} else {
		assert_string_equal(RAW_ASK(r, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT),
		    "0");
		assert_string_equal(RAW_ASK(r, OP_UNLOCK, "wbwx", (uint32_t)0,
					PROTOCOL_TYPE_SEGMENT, (uint32_t)LARGE, bytes,
					(size_t)LARGE),
		    "0");
	}
	free(bytes);
	return grant;
}

/*
 * Sends REQUESTS requests for the whole segment at once. Grants are numbered, so the releases can
 * be sent before the grants have come.
 */
static void
ask_much(struct raw *r, bool version_2, uint64_t grant)
{
	struct buf b = { 0 };
	uint32_t i;

	for (i = 1; i <= REQUESTS; i++) {
		if (version_2) {
			raw_put(&b, frame_tagged((uint16_t)i, OP_ACQUIRE), "wbwq", (uint32_t)0,
			    PROTOCOL_EXCLUSIVE, PROTOCOL_TIMEOUT_NEVER, UINT64_C(0));
			raw_put(&b, frame_tagged((uint16_t)i, OP_RELEASE), "wqbw", (uint32_t)0,
			    grant + i, PROTOCOL_RELEASE_ONE_WAY, (uint32_t)0);
		} else {
			raw_put(&b, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT);
		}
	}
	assert_true(raw_send(r, buf_data(&b), buf_size(&b)));
	buf_fini(&b);
}

/* Reads the replies at last: all come, in order. */
static void
read_much(struct raw *r, bool version_2)
{
	size_t size = version_2 ? 16 + 4 + 8 + LARGE : 1 + 4 + LARGE;
	uint32_t i;

	for (i = 1; i <= REQUESTS; i++) {
		assert_true(raw_listen(r));
		assert_int_equal(r->code, version_2 ? frame_tagged((uint16_t)i, 0) : 0);
		assert_int_equal(buf_size(&r->body), size);
	}
}

/* Waits until the server is idle: until its processor time stands still. */
static void
await_rest(const struct siege *s)
{
	enum { STILL_MS = 100 };
	uint64_t deadline = patience_until(PATIENCE_MS), since = clock_now();
	int64_t last = -1, now;

	while (clock_now() < since + patience_ms(STILL_MS) * CLOCK_MS) {
		now = procfs_usage(s->daemon.pid).cpu_ms;
		if (now != last)
			since = clock_now();
		last = now;
		if (clock_now() > deadline)
			fail_msg("the server does not come to rest");
		patience_breathe();
	}
}

static void
do_not_read(struct siege *s, bool version_2)
{
	uint64_t grants[DEAF];
	struct raw peers[DEAF];
	char name[] = "/a";
	int i;

	for (i = 0; i < DEAF; i++, name[1]++) {
		raw_connect(&peers[i], &s->daemon);
		raw_begin(&peers[i], version_2);
		raw_open(&peers[i], name, LARGE);
		grants[i] = publish_all(&peers[i], version_2);
	}
	siege_attack(s);
	for (i = 0; i < DEAF; i++)
		ask_much(&peers[i], version_2, grants[i]);
	await_rest(s);
	siege_serve(s);
	siege_expect_peak(s, (int64_t)DEAF * KEPT_A_PEER);
	read_much(&peers[0], version_2);
	for (i = 0; i < DEAF; i++)
		raw_close(&peers[i]);
	siege_lift(s, 0, 0, "");
}

static void
version_1_replies_that_are_not_read_do_not_pile_up(void **state)
{
	do_not_read(*state, false);
}

static void
version_2_replies_that_are_not_read_do_not_pile_up(void **state)
{
	do_not_read(*state, true);
}

static void
small_replies_that_are_not_read_do_not_pile_up(void **state)
{
	enum { MOST = 16 * SIZE_MIB, STILL_MS = 200 };
	uint64_t since = clock_now();
	struct siege *s = *state;
	struct buf b = { 0 };
	size_t sent = 0, part, offset = 0;
	struct raw r;

	while (buf_size(&b) < LARGE)
		raw_put(&b, OP_CLOSE, "w", UINT32_MAX);
	raw_connect(&r, &s->daemon);
	raw_begin(&r, false);
	/* It asks for as long as the server takes it. */
	while (clock_now() < since + patience_ms(STILL_MS) * CLOCK_MS && sent < MOST) {
		part = raw_send_some(&r, buf_data(&b) + offset, buf_size(&b) - offset);
		if (part > 0)
			since = clock_now();
		sent += part;
		offset = (offset + part) % buf_size(&b);
		patience_breathe();
	}
	buf_fini(&b);
	assert_false(r.has_ended);
	if (sent >= MOST)
		fail_msg(
		    "the server went on taking requests, %lu bytes, for a peer that reads nothing",
		    (unsigned long)sent);
	siege_expect_peak(s, KEPT_A_PEER);
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
what_was_asked_before_a_lie_is_answered_before_the_connection_ends(void **state)
{
	static const uint8_t lie[1000] = { 0, 0, 0, OP_STAT, 0xff, 0xff, 0xff, 0xff };
	struct siege *s = *state;
	struct raw r;

	raw_connect(&r, &s->daemon);
	raw_begin(&r, false);
	raw_open(&r, "/lie", LARGE);
	publish_all(&r, false);
	ask_much(&r, false, 0);
	assert_true(raw_send(&r, lie, sizeof lie));
	await_rest(s);
	read_much(&r, false);
	assert_true(raw_listen(&r));
	assert_string_equal(status_name(r.code), "EMSGSIZE");
	raw_expect_end(&r);
	raw_close(&r);
	siege_lift(s, 0, 1, "connection closed: a body of 4294967295 bytes");
}

static void
peers_that_leave_with_replies_unread_and_a_lock_held(void **state)
{
	enum { ROUNDS = 5 };
	struct siege *s = *state;
	struct raw r;
	uint64_t grant;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		raw_connect(&r, &s->daemon);
		raw_begin(&r, true);
		raw_open(&r, "/left", LARGE);
		grant = publish_all(&r, true);
		ask_much(&r, true, grant);
		raw_close(&r);
	}
	siege_lift(s, 0, 0, "");
}

/* The two servers. */

static struct siege siege;

static int
begin(void **state, bool has_keys)
{
	const struct daemon_config config = { .has_keys = has_keys, .args = { "-c", PLACES_TEXT } };

	*state = &siege;
	siege_begin(&siege, &config);
	return 0;
}

static int
begin_plain(void **state)
{
	return begin(state, false);
}

static int
begin_tls(void **state)
{
	return begin(state, true);
}

static void
the_server_exits_with_0(void **state)
{
	siege_end(*state);
}

#define ATTACKS_ON_BOTH \
	SIEGE_ATTACK(a_session_opens_1024_files_and_no_more), \
	    SIEGE_ATTACK(a_session_has_256_pending_forks_and_no_more), \
	    SIEGE_ATTACK(a_segment_above_the_limits_is_refused), \
	    SIEGE_ATTACK(a_connection_above_the_limit_is_refused), \
	    SIEGE_ATTACK(version_1_replies_that_are_not_read_do_not_pile_up), \
	    SIEGE_ATTACK(version_2_replies_that_are_not_read_do_not_pile_up), \
	    SIEGE_ATTACK(small_replies_that_are_not_read_do_not_pile_up), \
	    SIEGE_ATTACK(what_was_asked_before_a_lie_is_answered_before_the_connection_ends), \
	    SIEGE_ATTACK(peers_that_leave_with_replies_unread_and_a_lock_held)

int
main(void)
{
	static const struct CMUnitTest plain[] = {
		ATTACKS_ON_BOTH,
		cmocka_unit_test(the_server_exits_with_0),
	};
	static const struct CMUnitTest tls[] = {
		ATTACKS_ON_BOTH,
		SIEGE_ATTACK(unfinished_handshakes_keep_nobody_out),
		cmocka_unit_test(the_server_exits_with_0),
	};
	int failed = cmocka_run_group_tests_name("plaintext", plain, begin_plain, siege_teardown);

	return failed + cmocka_run_group_tests_name("TLS", tls, begin_tls, siege_teardown);
}
