/*
 * A connection whose socket takes no more bytes: both ends have much to send, or a ping and a
 * CANCEL are due (PROTOCOL 5, DESIGN 7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "common/remote/mux.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/stream.h"
#include "tests/stress/patience.h"
#include "tests/unit/muxrig.h"
#include "tests/unit/rig.h"

enum { LARGE = 8 * SIZE_MIB, TRIES = 20 };

/* Both ends have much to send. */

static bool is_timed;
static bool is_early; /* the deadline passed before the client began to send the RELEASE */

/* Takes the header of a request, whose body may be too large for the rig to keep. */
static struct frame
take_header(void)
{
	uint8_t header[FRAME_HEADER_SIZE] = { 0 };

	if (rig.fd >= 0 &&
	    recv(rig.fd, header, sizeof header, MSG_WAITALL) != (ssize_t)sizeof header)
		rig_surprise("expected a header");
	return frame_get(header);
}

static bool
is_request(struct frame f, enum protocol_op op)
{
	return rig.fd >= 0 && frame_untagged(f.code) == op;
}

static void
discard(size_t size)
{
	static uint8_t bytes[64 * SIZE_KIB];
	ssize_t n;

	while (size > 0 && rig.fd >= 0) {
		n = recv(rig.fd, bytes, size < sizeof bytes ? size : sizeof bytes, 0);
		if (n <= 0)
			rig_surprise("expected %zu more bytes of a RELEASE", size);
		else
			size -= (size_t)n;
	}
}

/* Grants with a whole segment, which is more than any socket buffer holds. */
static void
grant_large(uint16_t tag)
{
	static uint8_t frame[FRAME_HEADER_SIZE + 16 + 12 + LARGE];
	static const uint8_t head[] = { 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1,
		0, 0, 0, 0, LARGE >> 24, (LARGE >> 16) & 0xff, (LARGE >> 8) & 0xff, LARGE & 0xff };

	frame_put(frame,
	    (struct frame){ frame_tagged(tag, 0), (uint32_t)(sizeof frame - FRAME_HEADER_SIZE) });
	memcpy(frame + FRAME_HEADER_SIZE, head, sizeof head);
	memset(frame + FRAME_HEADER_SIZE + sizeof head, 'g', LARGE);
	rig_write(frame, sizeof frame);
}

static void
serve_much(void)
{
	struct muxrig_request a;
	uint16_t acquire, cancel = 0;
	struct frame release;
	char hex[64];

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN, "00000002 2f67", "00000008");
	snprintf(hex, sizeof hex, "00000007 %08x", (unsigned)LARGE);
	rig_serve(OP_MMAP, hex, "");
	snprintf(hex, sizeof hex, "00000008 %08x", (unsigned)LARGE);
	rig_serve(OP_MMAP, hex, "");
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	a = muxrig_take_request(); /* ACQUIRE of the other file */
	acquire = a.tag;
	sem_post(&muxrig_reached);
	release = take_header();
	is_early = is_timed && is_request(release, OP_CANCEL);
	if (is_early) {
		cancel = frame_tag(release.code);
		discard(release.body_size);
		release = take_header();
	}
	if (!is_request(release, OP_RELEASE))
		rig_surprise("expected RELEASE, got %s",
		    protocol_op_name(frame_untagged(release.code)));
	/* The deadline passes, and CANCEL has to wait, while the RELEASE is being sent. */
	if (is_timed)
		muxrig_miss_deadline();
	grant_large(acquire);
	discard(release.body_size);
	if (is_early) {
		rig_answer_tag(cancel, 0, "");
	} else {
		a = muxrig_take_request();
		if (a.op == OP_CANCEL)
			rig_answer(0, "");
		else if (a.op != OP_RELEASE)
			rig_surprise("expected a RELEASE or CANCEL, got %s of %u",
			    protocol_op_name(a.op), a.fd);
	}
	/* The connection goes on. */
	rig_take(OP_STAT, "00000008");
	rig_answer(0, MUXRIG_STAT_REPLY);
}

static void
expect_both_to_arrive(enum muxrig_kind kind)
{
	struct sm_file *other;
	struct muxrig_caller caller;
	struct sm_stat st;
	uint8_t *segment, *received;

	is_timed = kind == CALL_TIMED_SECTION;
	rig_begin_with("track=diff", serve_much);
	other = rig_open_other();
	segment = sm_map(rig.file, NULL, LARGE);
	assert_non_null(segment);
	received = sm_map(other, NULL, LARGE);
	assert_non_null(received);
	OK(sm_lock(rig.file));
	memset(segment, 'r', LARGE);
	muxrig_start(&caller, kind, other);
	sem_wait(&muxrig_reached);
	OK(sm_unlock(rig.file));
	muxrig_finish(&caller);
	if (caller.error == ETIMEDOUT && is_timed) {
		assert_int_equal(received[0], 0);
	} else {
		muxrig_expect(&caller, "the other's lock", 0);
		assert_int_equal(received[LARGE - 1], 'g');
	}
	OK(sm_stat(other, &st));
	rig_end();
}

static void
a_huge_release_and_a_huge_grant_pass_each_other(void **state)
{
	(void)state;
	expect_both_to_arrive(CALL_SECTION);
}

static void
they_pass_also_while_a_cancel_waits_to_be_sent(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < TRIES && (i == 0 || is_early); i++)
		expect_both_to_arrive(CALL_TIMED_SECTION);
	if (is_early)
		fail_msg("the client sent CANCEL before the RELEASE, %d times", TRIES);
}

/* A connection of the test's own, whose socket takes no more bytes when the first ping is due. */

enum { THIRD_MS = 200 }; /* of the silence */

struct full {
	struct mux *mux;
	int peer;
	pthread_t waiter; /* for a lock, until the end */
};

static void
send_acquire(struct mux *m, struct mux_call *c)
{
	int error = mux_become_sender(m, mux_limit_exact(CLOCK_NEVER));

	assert(error == 0);
	mux_begin_call(m, c, OP_ACQUIRE, 0, 0);
	error = mux_send(m);
	assert(error == 0);
}

static void *
wait_for_grant(void *arg)
{
	struct mux_call c;
	int error;

	send_acquire(arg, &c);
	error = mux_wait_for_lock(arg, &c, NULL, CLOCK_NEVER, NULL);
	mux_end_call(arg, &c);
	return (void *)(intptr_t)error;
}

/* c, unless it is NULL: a call of this thread, sent before the socket is full. */
static void
begin_full(struct full *f, struct mux_call *c)
{
	static const uint8_t zeros[SIZE_KIB];
	struct stream *stream;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->peer = fds[1];
	assert_int_equal(stream_create(&stream, fds[0], NULL, NULL), 0);
	assert_int_equal(mux_create(&f->mux, stream, 3 * patience_ms(THIRD_MS) * CLOCK_MS), 0);
	mux_use_tags(f->mux);
	assert_int_equal(pthread_create(&f->waiter, NULL, wait_for_grant, f->mux), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = fds[1], .events = POLLIN }, 1, -1), 1);
	if (c != NULL)
		send_acquire(f->mux, c);
	while (write(fds[0], zeros, sizeof zeros) > 0)
		continue;
	/* When the first ping is due, and somewhat longer. */
	usleep((useconds_t)(patience_ms(THIRD_MS) * 3 / 2) * 1000);
	assert_false(mux_has_ended(f->mux));
}

static void
end_full(struct full *f, int expected)
{
	void *error;

	pthread_join(f->waiter, &error);
	if ((intptr_t)error != expected)
		fail_msg("the wait for a lock: expected %s, got %s", strerror(-expected),
		    strerror(-(int)(intptr_t)error));
	mux_destroy(f->mux);
	close(f->peer);
}

/* Reads all that the connection has sent, and answers the first request. */
static void
drain_and_answer(int fd)
{
	uint8_t frame[FRAME_HEADER_SIZE], rest[SIZE_MIB];

	assert_int_equal(read(fd, frame, sizeof frame), sizeof frame);
	while (recv(fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
		continue;
	frame_put(frame, (struct frame){ frame_tagged(frame_tag(frame_get(frame).code), 0), 0 });
	assert_int_equal(write(fd, frame, sizeof frame), sizeof frame);
}

static void
a_ping_waits_for_room(void **state)
{
	struct full f;

	(void)state;
	begin_full(&f, NULL);
	drain_and_answer(f.peer);
	end_full(&f, 0);
}

/* The server may have granted the lock: without its CANCEL, no process would release it. */
static void
a_cancel_does_not_wait_for_room_behind_a_ping(void **state)
{
	struct mux_call c;
	struct full f;

	(void)state;
	begin_full(&f, &c);
	(void)mux_cancel(f.mux, &c);
	if (!mux_has_ended(f.mux)) {
		drain_and_answer(f.peer);
		fail_msg("mux_cancel: expected the end of the connection, which takes no CANCEL");
	}
	mux_end_call(f.mux, &c);
	end_full(&f, -ECONNRESET);
}

/* The result of a wait until that time whose server has ended the connection. */
static int
wait_for_ended(uint64_t until)
{
	struct stream *stream;
	struct mux_call c;
	struct mux *m;
	int fds[2], error;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(stream_create(&stream, fds[0], NULL, NULL), 0);
	assert_int_equal(mux_create(&m, stream, patience_ms(PATIENCE_MS) * CLOCK_MS), 0);
	send_acquire(m, &c);
	close(fds[1]);
	error = mux_wait(m, &c, mux_limit_exact(until));
	assert_true(mux_has_ended(m));
	/* No later call waits for it. */
	assert_int_equal(mux_wait(m, &c, mux_limit_exact(until)), -ECONNRESET);
	mux_end_call(m, &c);
	mux_destroy(m);
	return error;
}

/* As the kernel may, before a thread that wakes late looks at its time limit. */
static void
a_connection_that_ends_after_the_time_limit_is_a_timeout(void **state)
{
	(void)state;
	assert_int_equal(wait_for_ended(clock_now()), -ETIMEDOUT);
	assert_int_equal(wait_for_ended(patience_until(PATIENCE_MS)), -ECONNRESET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MUXRIG_TEST(a_ping_waits_for_room),
		MUXRIG_TEST(a_cancel_does_not_wait_for_room_behind_a_ping),
		cmocka_unit_test(a_connection_that_ends_after_the_time_limit_is_a_timeout),
		MUXRIG_TEST(a_huge_release_and_a_huge_grant_pass_each_other),
		MUXRIG_TEST(they_pass_also_while_a_cancel_waits_to_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
