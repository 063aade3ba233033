/*
 * A peer that holds a lock, does not read its replies, and whose connection ends: because it breaks
 * the protocol, or TLS, or says that it sends no more. The lock is free for others at once, whether
 * or not the peer ever reads what the server still has for it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"

enum {
	LOUD = 16 * 1024,
	REPLIES_MOST = 64, /* more than a socket takes */
	LOOK_MS = 100,
	FREE_MS = 200,  /* the lock has to be free by then */
	WAIT_MS = 3000, /* how long the next one waits for it */
	BROKEN_SIZE = 64
};

/* Returns how many bytes lie in the socket, unread. */
static int
unread(const struct raw *c)
{
	int size = 0;

	assert_int_equal(ioctl(c->fd, FIONREAD, &size), 0);
	return size;
}

/* Asks for one more large reply. Returns true when the most of it comes, unread, soon. */
static bool
ask_for_more(struct raw *c, uint32_t fd, uint64_t grant)
{
	uint64_t deadline = patience_until(LOOK_MS);
	struct buf b = { 0 };
	int before = unread(c);

	attacker_put_loud(&b, 2, fd, grant);
	assert_true(raw_send(c, buf_data(&b), buf_size(&b)));
	buf_fini(&b);
	while (unread(c) - before < LOUD / 2 && clock_now() < deadline)
		patience_breathe();
	return unread(c) - before >= LOUD / 2;
}

/*
 * Asks for large replies, one after the other, until the socket is full twice: the server then has
 * unsent ones, less than what makes it stop reading.
 */
static void
stop_reading(struct rig *r, struct raw *c)
{
	uint64_t grant;
	uint32_t fd = attacker_open_loud(r, c, "/loud", LOUD, &grant);
	int i, missed = 0;

	for (i = 0; i < REPLIES_MOST && missed < 2; i++)
		missed += !ask_for_more(c, fd, ++grant);
	assert_int_equal(missed, 2);
}

/* Breathes until something comes: the machine may stand still meanwhile. */
static void
breathe_until_readable(struct raw *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint64_t deadline = patience_until(WAIT_MS);

	while (poll(&p, 1, 0) == 0 && clock_now() < deadline)
		patience_breathe();
}

static uint32_t
acquire(struct raw *c, uint32_t fd)
{
	assert_true(
	    raw_say(c, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE, (uint32_t)WAIT_MS, UINT64_C(0)));
	breathe_until_readable(c);
	assert_true(raw_listen(c));
	return frame_untagged(c->code);
}

/* How long the server and this process have waited for a processor. */
static uint64_t
delay_so_far(const struct rig *r)
{
	return procfs_delayed_ns(r->daemon.pid) + procfs_delayed_ns(getpid());
}

/* A deaf holder holds the lock; end() ends its connection; then another session wants the lock. */
static void
end_a_deaf_holder(struct rig *r, void (*end)(struct raw *holder))
{
	struct raw holder, other;
	uint32_t mine, others, status;
	uint64_t begun, delayed, took;

	attacker_begin(r, &holder);
	attacker_begin(r, &other);
	mine = raw_open(&holder, "/held", 0);
	others = raw_open(&other, "/held", 0);
	assert_int_equal(acquire(&holder, mine), 0);
	stop_reading(r, &holder);
	end(&holder);
	delayed = delay_so_far(r);
	begun = clock_now();
	status = acquire(&other, others);
	took = clock_now() - begun;
	delayed = delay_so_far(r) - delayed;
	if (status != 0 || (took > delayed && patience_is_over(took - delayed, FREE_MS)))
		child_complain(&r->shared->complaint,
		    "the lock of a holder whose connection has ended: expected within %d ms, got "
		    "%s after %lu ms, %lu of them without a processor",
		    FREE_MS, status_name(status), (unsigned long)(took / CLOCK_MS),
		    (unsigned long)(delayed / CLOCK_MS));
	raw_close(&other);
	raw_close(&holder);
}

static void
send_an_oversized_body(struct raw *holder)
{
	static const uint8_t header[] = { 0, 0, 0, OP_CLOSE, 0xff, 0xff, 0xff, 0xff };

	assert_true(raw_send(holder, header, sizeof header));
}

static void
break_the_protocol(struct rig *r)
{
	end_a_deaf_holder(r, send_an_oversized_body);
}

/* A record whose tag does not verify. */
static void
send_a_broken_record(struct raw *holder)
{
	static const uint8_t record[5 + BROKEN_SIZE] = { 23, 3, 3, 0, BROKEN_SIZE };

	assert_int_equal(send(holder->fd, record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT),
	    sizeof record);
}

static void
break_tls(struct rig *r)
{
	end_a_deaf_holder(r, send_a_broken_record);
}

static void
send_no_more(struct raw *holder)
{
	assert_int_equal(shutdown(holder->fd, SHUT_WR), 0);
}

static void
end_its_side(struct rig *r)
{
	end_a_deaf_holder(r, send_no_more);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "a deaf holder breaks the protocol",
		    .daemons = RIG_BOTH,
		    .run = break_the_protocol },
		{ .name = "a deaf holder breaks TLS", .daemons = RIG_BOTH, .run = break_tls },
		{ .name = "a deaf holder ends its side", .daemons = RIG_BOTH, .run = end_its_side },
	};

	return rig_main("deaf holder", attacks, sizeof attacks / sizeof attacks[0]);
}
