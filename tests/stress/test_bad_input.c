/*
 * Bytes that are no request, or that lie: the server answers each with a status or disconnects the
 * peer with one line of log, and no other session changes. In plaintext and through TLS.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/size.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"
#include "tests/stress/daemon.h"
#include "tests/stress/raw.h"
#include "tests/stress/siege.h"

#define FAR UINT32_MAX

static const uint8_t some_bytes[SIZE_BLOCK];

static bool
has_tls(const struct siege *s)
{
	return s->daemon.config.pki != NULL;
}

/* A session of version 2 on a segment of its own; the descriptor is 0. */
static void
begin_v2(struct raw *r, const struct siege *s)
{
	raw_connect(r, &s->daemon);
	raw_begin(r, true);
	assert_int_equal(raw_open(r, "/target", SIEGE_SEGMENT), 0);
}

static void
begin_v1(struct raw *r, const struct siege *s)
{
	raw_connect(r, &s->daemon);
	raw_begin(r, false);
	assert_int_equal(raw_open(r, "/target", SIEGE_SEGMENT), 0);
}

/* Takes the lock of descriptor 0. Returns the grant. */
static uint64_t
acquire(struct raw *r)
{
	assert_string_equal(RAW_ASK(r, OP_ACQUIRE, "wbwq", (uint32_t)0, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_TRY, UINT64_C(0)),
	    "0");
	return raw_first_u64(r);
}

static void
names_with_a_lying_length_are_malformed(void **state)
{
	struct siege *s = *state;
	struct raw r;

	begin_v2(&r, s);
	assert_string_equal(RAW_ASK(&r, OP_OPEN, "wx", FAR, "ab", (size_t)2), "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_OPEN, "wx", UINT32_C(3), "ab", (size_t)2), "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_OPEN, "wx", UINT32_C(1), "ab", (size_t)2), "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_OPEN, "x", "\377\377\377", (size_t)3), "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_OPEN, ""), "EPROTO");
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

/* Releases with a malformed delta, which the server must refuse; the published bytes stay. */
static void
refuse_delta(struct raw *r, const char *format, uint32_t count, uint32_t offset, uint32_t length)
{
	uint64_t grant = acquire(r);
	struct wire_reader body;
	const char *status;

	if (*format == '\0')
		status = RAW_ASK(r, OP_RELEASE, "wqbw", (uint32_t)0, grant, 0, count);
	else
		status = RAW_ASK(r, OP_RELEASE, "wqbwwwx", (uint32_t)0, grant, 0, count, offset,
		    length, some_bytes, sizeof some_bytes);
	if (strcmp(status, "EPROTO") != 0 && strcmp(status, "EINVAL") != 0)
		fail_msg("a delta of %u pieces, %u bytes at %u: expected EPROTO or EINVAL, got %s",
		    count, length, offset, status);
	grant = acquire(r);
	body = wire_reader(buf_data(&r->body), buf_size(&r->body));
	wire_get_u64(&body);
	assert_int_equal(wire_get_u64(&body), 0); /* the version: no release has published */
	assert_string_equal(RAW_ASK(r, OP_RELEASE, "wqbw", (uint32_t)0, grant, 0, (uint32_t)0),
	    "0");
}

static void
deltas_with_lying_lengths_publish_nothing(void **state)
{
	struct siege *s = *state;
	struct raw r;

	begin_v2(&r, s);
	refuse_delta(&r, "", 1, 0, 0);
	refuse_delta(&r, "", FAR, 0, 0);
	refuse_delta(&r, "piece", 1, 0, FAR);
	refuse_delta(&r, "piece", 1, 0, sizeof some_bytes + 1);
	refuse_delta(&r, "piece", 1, 0, sizeof some_bytes - 1);
	refuse_delta(&r, "piece", 1, 0, 0);
	refuse_delta(&r, "piece", 2, 0, sizeof some_bytes);
	refuse_delta(&r, "piece", 0, 0, sizeof some_bytes);
	refuse_delta(&r, "piece", FAR, 0, sizeof some_bytes);
	refuse_delta(&r, "piece", 1, SIEGE_SEGMENT, sizeof some_bytes);
	refuse_delta(&r, "piece", 1, SIEGE_SEGMENT - 1, sizeof some_bytes);
	refuse_delta(&r, "piece", 1, FAR, sizeof some_bytes);
	refuse_delta(&r, "piece", 1, FAR - sizeof some_bytes + 1, sizeof some_bytes);
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
segments_with_a_lying_size_stay_locked(void **state)
{
	struct siege *s = *state;
	struct raw r;

	begin_v1(&r, s);
	assert_string_equal(RAW_ASK(&r, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT), "0");
	assert_string_equal(RAW_ASK(&r, OP_UNLOCK, "wbwx", (uint32_t)0, PROTOCOL_TYPE_SEGMENT, FAR,
				some_bytes, (size_t)4),
	    "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_UNLOCK, "wbwx", (uint32_t)0, PROTOCOL_TYPE_SEGMENT,
				UINT32_C(3), some_bytes, (size_t)4),
	    "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_UNLOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT),
	    "EPROTO");
	assert_string_equal(RAW_ASK(&r, OP_UNLOCK, "wbwx", (uint32_t)0, PROTOCOL_TYPE_SEGMENT,
				UINT32_C(4), some_bytes, (size_t)4),
	    "EINVAL");
	assert_string_equal(RAW_ASK(&r, OP_UNLOCK, "wbw", (uint32_t)0, PROTOCOL_TYPE_SEGMENT,
				UINT32_C(0)),
	    "EINVAL");
	/* The session still holds the lock; nothing is published, so the type is "unpublished". */
	assert_string_equal(RAW_ASK(&r, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT), "0");
	assert_int_equal(buf_size(&r.body), 1);
	assert_int_equal(buf_data(&r.body)[0], PROTOCOL_TYPE_UNPUBLISHED);
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
bodies_of_the_wrong_size_are_malformed(void **state)
{
	static const struct {
		uint32_t op;
		size_t size; /* the right one */
	} rows[] = {
		{ OP_NEW_FDTABLE, 0 },
		{ OP_FORK, 0 },
		{ OP_CHILD_ATTACH, 8 },
		{ OP_CLOSE, 4 },
		{ OP_MMAP, 8 },
		{ OP_ACQUIRE, 17 },
		{ OP_CANCEL, 4 },
		{ OP_STAT, 4 },
	};
	struct siege *s = *state;
	struct raw r;
	size_t i;

	begin_v2(&r, s);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].size > 0)
			assert_string_equal(RAW_ASK(&r, rows[i].op, "x", some_bytes,
						rows[i].size - 1),
			    "EPROTO");
		assert_string_equal(RAW_ASK(&r, rows[i].op, "x", some_bytes, rows[i].size + 1),
		    "EPROTO");
		assert_string_equal(RAW_ASK(&r, rows[i].op, "x", some_bytes, sizeof some_bytes),
		    "EPROTO");
	}
	raw_close(&r);
	siege_lift(s, 0, 0, "");
}

static void
descriptors_out_of_range_are_not_open(void **state)
{
	static const uint32_t far[] = { 1, 7, 8, 1023, 1024, 0x10000, 0x7fffffff, 0x80000000,
		0xfffffffe, FAR };
	struct siege *s = *state;
	struct raw v1, v2;
	size_t i;

	begin_v1(&v1, s);
	begin_v2(&v2, s);
	for (i = 0; i < sizeof far / sizeof far[0]; i++) {
		assert_string_equal(RAW_ASK(&v1, OP_CLOSE, "w", far[i]), "EBADF");
		assert_string_equal(RAW_ASK(&v1, OP_MMAP, "ww", far[i], UINT32_C(1)), "EBADF");
		assert_string_equal(RAW_ASK(&v1, OP_LOCK, "wb", far[i], PROTOCOL_TYPE_SEGMENT),
		    "EBADF");
		assert_string_equal(RAW_ASK(&v1, OP_UNLOCK, "wbw", far[i], PROTOCOL_TYPE_SEGMENT,
					UINT32_C(0)),
		    "EBADF");
		assert_string_equal(RAW_ASK(&v2, OP_ACQUIRE, "wbwq", far[i], PROTOCOL_EXCLUSIVE,
					PROTOCOL_TIMEOUT_NEVER, UINT64_C(0)),
		    "EBADF");
		assert_string_equal(RAW_ASK(&v2, OP_RELEASE, "wqbw", far[i], UINT64_MAX, 0,
					UINT32_C(0)),
		    "EBADF");
		assert_string_equal(RAW_ASK(&v2, OP_STAT, "w", far[i]), "EBADF");
	}
	raw_close(&v1);
	raw_close(&v2);
	siege_lift(s, 0, 0, "");
}

static void
frames_of_4_gib_end_the_connection(void **state)
{
	static const uint32_t ops[] = { OP_NEW_FDTABLE, OP_OPEN, OP_UNLOCK, OP_HELLO, OP_RELEASE,
		UINT32_MAX };
	struct siege *s = *state;
	struct raw r;
	size_t i, count = sizeof ops / sizeof ops[0];
	uint8_t header[8] = { 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	struct wire_writer w;

	for (i = 0; i < count; i++) {
		w = wire_writer(header, 4);
		wire_put_u32(&w, ops[i]);
		raw_connect(&r, &s->daemon);
		assert_true(raw_send(&r, header, sizeof header));
		assert_true(raw_listen(&r));
		assert_string_equal(status_name(r.code), "EMSGSIZE");
		raw_expect_end(&r);
		raw_close(&r);
	}
	siege_expect_peak(s, SIEGE_TOLERANCE);
	siege_lift(s, 0, (unsigned)count, "connection closed: a body of 4294967295 bytes");
}

/* Sends a request with a body of 64 MiB, fixed fields in front. */
static const char *
ask_with_large_body(struct raw *r, uint32_t op, const char *format, ...)
{
	enum { BODY = 64 * SIZE_MIB, PART = SIZE_MIB };
	uint8_t header[8], *part = calloc(1, PART);
	struct wire_writer w = wire_writer(header, sizeof header);
	struct buf fields = { 0 };
	size_t sent;

	assert_non_null(part);
	wire_put_u32(&w, op);
	wire_put_u32(&w, BODY);
	if (strcmp(format, "unlock") == 0)
		raw_put(&fields, 0, "wbw", (uint32_t)0, PROTOCOL_TYPE_SEGMENT, (uint32_t)BODY - 9);
	else if (strcmp(format, "release") == 0)
		raw_put(&fields, 0, "wqb", (uint32_t)0, UINT64_C(1), 0);
	else
		raw_put(&fields, 0, "w", (uint32_t)BODY - 4);
	buf_consume(&fields, 8);
	assert_true(raw_send(r, header, sizeof header));
	assert_true(raw_send(r, buf_data(&fields), buf_size(&fields)));
	for (sent = buf_size(&fields); sent + PART <= BODY; sent += PART)
		assert_true(raw_send(r, part, PART));
	assert_true(raw_send(r, part, BODY - sent));
	buf_fini(&fields);
	free(part);
	assert_true(raw_listen(r));
	return status_name(r->code & 0xffff);
}

static void
large_bodies_of_who_holds_no_lock_are_thrown_away(void **state)
{
	struct siege *s = *state;
	struct raw v1, v2;

	begin_v1(&v1, s);
	begin_v2(&v2, s);
	assert_string_equal(ask_with_large_body(&v1, OP_UNLOCK, "unlock"), "EINVAL");
	assert_string_equal(ask_with_large_body(&v2, OP_RELEASE, "release"), "ESTALE");
	assert_string_equal(ask_with_large_body(&v2, OP_OPEN, "name"), "ENAMETOOLONG");
	/* Both sessions still work. */
	assert_string_equal(RAW_ASK(&v1, OP_LOCK, "wb", (uint32_t)0, PROTOCOL_TYPE_SEGMENT), "0");
	assert_string_equal(RAW_ASK(&v2, OP_STAT, "w", (uint32_t)0), "0");
	raw_close(&v1);
	raw_close(&v2);
	siege_expect_peak(s, SIEGE_TOLERANCE);
	siege_lift(s, 0, 0, "");
}

static void
peers_that_leave_within_a_frame_leave_nothing(void **state)
{
	struct siege *s = *state;
	struct buf b = { 0 };
	struct raw r;
	size_t size;

	raw_put(&b, OP_OPEN, "s", "/half");
	for (size = 1; size < buf_size(&b); size++) {
		begin_v2(&r, s);
		acquire(&r);
		assert_true(raw_send(&r, buf_data(&b), size));
		raw_close(&r);
	}
	buf_fini(&b);
	siege_lift(s, 0, 0, "");
}

static void
peers_that_connect_and_leave_cost_nothing(void **state)
{
	enum { PEERS = 300 };
	struct siege *s = *state;
	struct raw r;
	int i;

	for (i = 0; i < PEERS; i++) {
		raw_connect_plain(&r, &s->daemon);
		raw_close(&r);
	}
	siege_expect_peak(s, SIEGE_TOLERANCE);
	/* Over TLS they are peers that did not finish their handshake. */
	siege_lift(s, 0, has_tls(s) ? PEERS : 0, "refused in the TLS handshake");
}

/* Bytes that begin no protocol, the same in every run. */
static void
fill_garbage(uint8_t *out, size_t size, unsigned seed)
{
	uint32_t x = seed * UINT32_C(2654435761) + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		x = x * UINT32_C(1664525) + UINT32_C(1013904223);
		out[i] = (uint8_t)(x >> 24);
	}
	out[0] |= 0x80; /* neither a TLS record nor an operation */
	out[4] |= 0x80; /* a body of more than 2 GiB */
}

static void
garbage_ends_the_connection(void **state)
{
	enum { PEERS = 50 };
	struct siege *s = *state;
	uint8_t garbage[1000];
	struct raw r;
	unsigned i;

	for (i = 0; i < PEERS; i++) {
		fill_garbage(garbage, sizeof garbage, i);
		raw_connect_plain(&r, &s->daemon);
		raw_send(&r, garbage, sizeof garbage);
		raw_expect_end(&r);
		raw_close(&r);
	}
	siege_lift(s, 0, PEERS,
	    has_tls(s) ? "refused in the TLS handshake: " : "connection closed: a body of ");
}

static void
http_ends_the_connection(void **state)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct siege *s = *state;
	struct raw r;

	raw_connect_plain(&r, &s->daemon);
	raw_send(&r, get, sizeof get - 1);
	raw_expect_end(&r);
	raw_close(&r);
	siege_lift(s, 0, 1,
	    has_tls(s) ? "the peer does not speak TLS" : "connection closed: a body of ");
}

static void
tls_to_a_plaintext_server_ends_the_connection(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct siege *s = *state;
	struct raw r;

	assert_non_null(ctx);
	raw_connect_plain(&r, &s->daemon);
	assert_int_not_equal(raw_handshake(&r, ctx), 0);
	raw_expect_end(&r);
	raw_close(&r);
	SSL_CTX_free(ctx);
	siege_lift(s, 0, 1, "a TLS handshake on a plaintext address");
}

static void
plaintext_to_a_tls_server_ends_the_connection(void **state)
{
	struct siege *s = *state;
	struct raw r;

	raw_connect_plain(&r, &s->daemon);
	assert_true(raw_is_refused(&r));
	raw_close(&r);
	siege_lift(s, 0, 1, "the peer does not speak TLS");
}

static void
garbage_after_the_handshake_ends_the_connection(void **state)
{
	struct siege *s = *state;
	uint8_t garbage[1000];
	struct raw r;

	begin_v2(&r, s);
	acquire(&r);
	fill_garbage(garbage, sizeof garbage, 1);
	assert_int_equal(send(r.fd, garbage, sizeof garbage, MSG_NOSIGNAL), sizeof garbage);
	raw_expect_end(&r);
	raw_close(&r);
	siege_lift(s, 0, 1, "client (");
}

static void
a_changed_record_ends_the_connection_and_is_not_executed(void **state)
{
	/* An application data record, as long as TLS 1.3 would make it, that no key has sealed. */
	static const uint8_t record[5 + 64] = { 0x17, 3, 3, 0, 64 };
	struct siege *s = *state;
	struct raw r;

	begin_v2(&r, s);
	acquire(&r);
	assert_int_equal(send(r.fd, record, sizeof record, MSG_NOSIGNAL), sizeof record);
	raw_expect_end(&r);
	raw_close(&r);
	siege_lift(s, 0, 1, "client (");
}

/* The two servers. */

static struct siege siege;

static int
begin_plain(void **state)
{
	*state = &siege;
	siege_begin(&siege, &(struct daemon_config){ .has_keys = false });
	return 0;
}

static int
begin_tls(void **state)
{
	*state = &siege;
	siege_begin(&siege, &(struct daemon_config){ .has_keys = true });
	return 0;
}

static void
the_server_exits_with_0(void **state)
{
	siege_end(*state);
}

#define ATTACKS_ON_BOTH \
	SIEGE_ATTACK(names_with_a_lying_length_are_malformed), \
	    SIEGE_ATTACK(deltas_with_lying_lengths_publish_nothing), \
	    SIEGE_ATTACK(segments_with_a_lying_size_stay_locked), \
	    SIEGE_ATTACK(bodies_of_the_wrong_size_are_malformed), \
	    SIEGE_ATTACK(descriptors_out_of_range_are_not_open), \
	    SIEGE_ATTACK(frames_of_4_gib_end_the_connection), \
	    SIEGE_ATTACK(large_bodies_of_who_holds_no_lock_are_thrown_away), \
	    SIEGE_ATTACK(peers_that_leave_within_a_frame_leave_nothing), \
	    SIEGE_ATTACK(peers_that_connect_and_leave_cost_nothing), \
	    SIEGE_ATTACK(garbage_ends_the_connection), SIEGE_ATTACK(http_ends_the_connection)

int
main(void)
{
	static const struct CMUnitTest plain[] = {
		ATTACKS_ON_BOTH,
		SIEGE_ATTACK(tls_to_a_plaintext_server_ends_the_connection),
		cmocka_unit_test(the_server_exits_with_0),
	};
	static const struct CMUnitTest tls[] = {
		ATTACKS_ON_BOTH,
		SIEGE_ATTACK(plaintext_to_a_tls_server_ends_the_connection),
		SIEGE_ATTACK(garbage_after_the_handshake_ends_the_connection),
		SIEGE_ATTACK(a_changed_record_ends_the_connection_and_is_not_executed),
		cmocka_unit_test(the_server_exits_with_0),
	};
	int failed = cmocka_run_group_tests_name("plaintext", plain, begin_plain, siege_teardown);

	return failed + cmocka_run_group_tests_name("TLS", tls, begin_tls, siege_teardown);
}
