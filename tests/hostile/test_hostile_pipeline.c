/*
 * A client that sends 900 requests at once, and reads the replies, far more than a server keeps
 * unsent, slowly: it gets all of them, in their order.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { REQUESTS = 900, RECORD = 16 * 1024, UNREAD_MS = 100, SILENCE_MS = 2000 };

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
			assert_int_equal(c->code, frame_tagged((uint16_t)(replies + 1), 0));
	}
	return replies;
}

static void
pipeline(struct rig *r)
{
	struct buf b = { 0 };
	unsigned replies;
	uint64_t grant;
	struct raw c;
	uint32_t fd;
	int i;

	attacker_begin(r, &c);
	fd = attacker_open_loud(r, &c, "/loud", &grant);
	for (i = 1; i <= REQUESTS; i++)
		attacker_put_loud(&b, (uint16_t)i, fd, grant + (uint64_t)i);
	assert_true(raw_send(&c, buf_data(&b), buf_size(&b)));
	poll(NULL, 0, UNREAD_MS);
	replies = read_slowly(&c);
	if (replies != REQUESTS)
		child_complain(&r->shared->complaint, "expected %d replies, got %u, then silence",
		    REQUESTS, replies);
	buf_fini(&b);
	raw_close(&c);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "900 requests at once, replies read slowly",
		    .daemons = RIG_BOTH,
		    .run = pipeline },
	};

	return rig_main("pipeline", attacks, sizeof attacks / sizeof attacks[0]);
}
