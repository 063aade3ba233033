/*
 * A client that sends 900 requests at once gets all 900 replies, also when they are far more than a
 * server keeps unsent and the client reads them slowly, and when another client's release brings
 * large grants while the server executes what it has read ahead.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bio.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum {
	REQUESTS = 900,
	LOUD = 16 * 1024,
	GRANTS = 24, /* of that size: more than a socket takes and a server keeps unsent */
	RECORD = 16 * 1024,
	UNREAD_MS = 100,
	SILENCE_MS = 2000
};

/* Takes one whole reply from c->in; false when there is none. */
static bool
take_reply(struct raw *c)
{
	struct frame f;

	if (buf_size(&c->in) < FRAME_HEADER_SIZE)
		return false;
	f = frame_get(buf_data(&c->in));
	if (buf_size(&c->in) < (size_t)FRAME_HEADER_SIZE + f.body_size)
		return false;
	c->code = f.code;
	buf_consume(&c->in, (size_t)FRAME_HEADER_SIZE + f.body_size);
	return true;
}

/* Reads one record, then does nothing for a millisecond. False when there was none. */
static bool
read_a_record(struct raw *c)
{
	uint8_t *room = buf_reserve(&c->in, RECORD);
	int n;

	assert_non_null(room);
	n = SSL_read(c->ssl, room, RECORD);
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	poll(NULL, 0, 1);
	return n > 0;
}

/* Returns how many replies came before a long silence, or all. */
static unsigned
read_slowly(struct raw *c)
{
	uint64_t deadline = patience_until(SILENCE_MS);
	unsigned replies = 0;

	while (replies < REQUESTS && clock_now() < deadline) {
		if (read_a_record(c))
			deadline = patience_until(SILENCE_MS);
		for (; take_reply(c); replies++)
			assert_int_equal(frame_untagged(c->code), 0);
	}
	return replies;
}

static void
expect_all(struct rig *r, struct raw *c)
{
	unsigned replies = read_slowly(c);

	if (replies != REQUESTS)
		child_complain(&r->shared->complaint, "expected %d replies, got %u, then silence",
		    REQUESTS, replies);
}

static void
read_large_replies_slowly(struct rig *r)
{
	struct buf b = { 0 };
	uint64_t grant;
	struct raw c;
	uint32_t fd;
	int i;

	attacker_begin(r, &c);
	fd = attacker_open_loud(r, &c, "/loud", LOUD, &grant);
	for (i = 1; i <= REQUESTS; i++)
		attacker_put_loud(&b, (uint16_t)i, fd, grant + (uint64_t)i);
	assert_true(raw_send(&c, buf_data(&b), buf_size(&b)));
	poll(NULL, 0, UNREAD_MS);
	expect_all(r, &c);
	buf_fini(&b);
	raw_close(&c);
}

/* Sends the records that c has made in place of sending them. */
static void
send_records(struct raw *c, BIO *records)
{
	char *data;
	long size = BIO_get_mem_data(records, &data);

	assert_int_equal(send(c->fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT), size);
	(void)BIO_reset(records);
}

/* Waits for the locks, each time through another descriptor and in a record of its own. */
static void
ask_for_locks(struct raw *c)
{
	BIO *records = BIO_new(BIO_s_mem());
	uint32_t i;

	for (i = 0; i < REQUESTS; i++)
		assert_int_equal(raw_open(c, i < GRANTS ? "/loud" : "/quiet", 0), i);
	assert_non_null(records);
	SSL_set0_wbio(c->ssl, records);
	for (i = 0; i < REQUESTS; i++)
		raw_say(c, frame_tagged((uint16_t)(i + 1), OP_ACQUIRE), "wbwq", i, PROTOCOL_SHARED,
		    PROTOCOL_TIMEOUT_NEVER, UINT64_C(0));
	send_records(c, records);
}

static void
release(struct raw *c, uint32_t fd, uint64_t grant, const char *format)
{
	raw_say(c, OP_RELEASE, format, fd, grant, PROTOCOL_RELEASE_ONE_WAY, UINT32_C(0));
}

/*
 * The first release brings the large grants in the midst of requests that have no reply yet, the
 * second one all others.
 */
static void
wait_for_large_grants(struct rig *r)
{
	struct raw waiter, holder;
	uint32_t loud, quiet;
	uint64_t grant;

	attacker_begin(r, &holder);
	attacker_begin(r, &waiter);
	loud = attacker_open_loud(r, &holder, "/loud", LOUD, &grant);
	quiet = raw_open(&holder, "/quiet", 0);
	assert_string_equal(RAW_ASK(&holder, OP_ACQUIRE, "wbwq", loud, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_TRY, grant),
	    "0");
	assert_string_equal(RAW_ASK(&holder, OP_ACQUIRE, "wbwq", quiet, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_TRY, UINT64_C(0)),
	    "0");
	ask_for_locks(&waiter);
	release(&holder, loud, grant + 1, "wqbw");
	poll(NULL, 0, UNREAD_MS);
	release(&holder, quiet, 1, "wqb");
	expect_all(r, &waiter);
	raw_close(&waiter);
	raw_close(&holder);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "900 requests at once, replies read slowly",
		    .daemons = RIG_BOTH,
		    .run = read_large_replies_slowly },
		{ .name = "900 requests at once, grants among them",
		    .daemons = RIG_BOTH,
		    .run = wait_for_large_grants },
	};

	return rig_main("pipeline", attacks, sizeof attacks / sizeof attacks[0]);
}
