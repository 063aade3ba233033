/*
 * One connection, many threads, and a server that answers in every awkward order: each thread gets
 * its own reply or an error, and none waits for ever (PROTOCOL 5, DESIGN 7). A watchdog ends a test
 * that hangs, and names it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "common/remote/mux.h"
#include "common/wire/frame.h"
#include "common/wire/stream.h"
#include "tests/stress/patience.h"
#include "tests/unit/rig.h"

enum {
	WATCHDOG_S = 45,
	FILES = 4,
	FIRST_FD = 0x10, /* of the files 0 to 3; the rig's own is 7 */
	ROUNDS = 20,
	DEADLINE_MS = 60,
	DEADLINE_MOST_MS = 500, /* a third of the silence would be a ping */
	SILENCE_MS = 2000,      /* the client's, see SILENCE */
	LATE_MS = 50,           /* that a timed call may take beyond its deadline */
	SLOW_MS = 1200,
	SLACK_MS = 1000,
	PINGS = 6, /* two silences of a second long */
	GIVEN_UP_MOST = 1200,
	LARGE = 8 * SIZE_MIB,
	GRANT_FRAME_SIZE = FRAME_HEADER_SIZE + 16
};

#define SILENCE "silence=2"
#define PING "00000000" /* a tag of no ACQUIRE: any other may be that of a grant that is held */

#define STAT_REPLY \
	"0000000000000001 0000000000003005 0000000000000000 01 0000000000000009 00000001 00000000 " \
	"0000000000000002"

static struct sm_file *files[FILES];
static sem_t reached; /* posted by the script */
static sem_t go_on;   /* posted by the test */

/* A call from a thread of its own. */

enum kind { LOCK, RDLOCK, READ, READ_UNTIL_TOLD, SECTION, TIMED_SECTION, MAP, CLOSE };

struct caller {
	enum kind kind;
	struct sm_file *file;
	pthread_t thread;
	int result, error;
	uint64_t took;
};

/* Long enough for a request on its way, and shorter than the silence after which it pings. */
static uint64_t
deadline_ms(void)
{
	uint64_t ms = patience_ms(DEADLINE_MS);

	return ms < DEADLINE_MOST_MS ? ms : DEADLINE_MOST_MS;
}

/* In a script: waits until a deadline of soon() has passed. */
static void
miss_deadline(void)
{
	usleep((useconds_t)(deadline_ms() + 4 * DEADLINE_MS) * 1000);
}

static struct timespec
soon(void)
{
	return clock_timespec(clock_after_ms(clock_now(), deadline_ms()));
}

/* Posts reached when it reads, and waits for go_on. */
static int
read_until_told(struct sm_file *file)
{
	int error = sm_rdlock(file);

	sem_post(&reached);
	if (error != 0)
		return error;
	sem_wait(&go_on);
	return sm_unlock(file);
}

static int
call(enum kind kind, struct sm_file *file)
{
	struct timespec deadline = soon();

	switch (kind) {
	case LOCK:
		return sm_lock(file);
	case TIMED_SECTION:
		return sm_timedlock(file, &deadline) != 0 ? -1 : sm_unlock(file);
	case RDLOCK:
		return sm_rdlock(file);
	case READ:
		return sm_rdlock(file) != 0 ? -1 : sm_unlock(file);
	case READ_UNTIL_TOLD:
		return read_until_told(file);
	case SECTION:
		return sm_lock(file) != 0 ? -1 : sm_unlock(file);
	case MAP:
		return sm_map(file, NULL, SIZE_BLOCK) == NULL ? -1 : 0;
	case CLOSE:
		return sm_close(file);
	}
	return -1;
}

static void *
run_caller(void *arg)
{
	struct caller *c = arg;
	uint64_t begin = clock_now();

	c->result = call(c->kind, c->file);
	c->error = c->result == 0 ? 0 : errno;
	c->took = clock_now() - begin;
	return NULL;
}

static void
start(struct caller *c, enum kind kind, struct sm_file *file)
{
	*c = (struct caller){ .kind = kind, .file = file };
	assert_int_equal(pthread_create(&c->thread, NULL, run_caller, c), 0);
}

static void
finish(struct caller *c)
{
	pthread_join(c->thread, NULL);
}

/* Starts that call on each file, in a thread of its own, and waits for all. */
static void
call_on_all(struct caller callers[FILES], enum kind kind)
{
	int i;

	for (i = 0; i < FILES; i++)
		start(&callers[i], kind, files[i]);
	for (i = 0; i < FILES; i++)
		finish(&callers[i]);
}

static void
expect(const struct caller *c, const char *call, int error)
{
	if (c->error != error)
		fail_msg("%s: expected %s, got %s after %lu ms; the peer: %s", call,
		    strerror(error), strerror(c->error), (unsigned long)(c->took / CLOCK_MS),
		    rig.surprise);
}

/* The test's part: the rig with the files 0 to 3 open as well. */
static void
begin_with(const char *options, rig_script *script)
{
	char path[] = "/m/0";
	size_t i;

	rig_begin_with(options, script);
	for (i = 0; i < FILES; i++) {
		path[3] = (char)('0' + i);
		files[i] = sm_open(rig.sm, path);
		if (files[i] == NULL)
			fail_msg("sm_open: %s; the peer: %s", sm_error(rig.sm), rig.surprise);
	}
}

static void
begin(rig_script *script)
{
	begin_with(NULL, script);
}

/* The script's part. */

struct request {
	uint32_t op, fd;
	uint16_t tag;
};

static void
greet(void)
{
	char name[16], fd[16];
	int i;

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "00000002 2f%02x", '0' + i);
		snprintf(fd, sizeof fd, "%08x", FIRST_FD + i);
		rig_take(OP_OPEN, name);
		rig_answer(0, fd);
	}
}

static uint32_t
number_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	    bytes[3];
}

static struct request
take_request(void)
{
	struct request a = { .op = rig_take_any() };

	a.tag = rig.tag;
	a.fd = rig.body_size >= 4 ? number_at(rig.body) : UINT32_MAX;
	return a;
}

/* Takes an ACQUIRE of each file, in any order. */
static void
take_acquires(struct request requests[FILES])
{
	struct request a;
	int i;

	for (i = 0; i < FILES && rig.fd >= 0; i++) {
		a = take_request();
		if (a.op != OP_ACQUIRE || a.fd < FIRST_FD || a.fd >= FIRST_FD + FILES)
			rig_surprise("expected an ACQUIRE, got %s of %u", protocol_op_name(a.op),
			    a.fd);
		else
			requests[a.fd - FIRST_FD] = a;
	}
}

static void
take_releases(void)
{
	struct request a;
	int i;

	for (i = 0; i < FILES && rig.fd >= 0; i++) {
		a = take_request();
		if (a.op != OP_RELEASE && rig.fd >= 0)
			rig_surprise("expected a RELEASE, got %s of %u", protocol_op_name(a.op),
			    a.fd);
	}
}

/* The frame that grants a pure lock. */
static void
grant_frame(uint8_t frame[GRANT_FRAME_SIZE], uint16_t tag, uint8_t grant)
{
	memset(frame, 0, GRANT_FRAME_SIZE);
	frame_put(frame, (struct frame){ frame_tagged(tag, 0), 16 });
	frame[FRAME_HEADER_SIZE + 7] = grant;
}

/* Replies in another order than the requests'. */

static bool is_in_pieces;

static void
serve_in_another_order(void)
{
	uint8_t frames[FILES * GRANT_FRAME_SIZE];
	struct request requests[FILES];
	size_t i;
	int round;

	greet();
	for (round = 0; round < ROUNDS && rig.fd >= 0; round++) {
		take_acquires(requests);
		for (i = 0; i < FILES; i++)
			grant_frame(frames + i * GRANT_FRAME_SIZE,
			    requests[FILES - 1 - (i + (size_t)round) % FILES].tag,
			    (uint8_t)(round + 1));
		for (i = 0; is_in_pieces && i < sizeof frames; i++)
			rig_write(frames + i, 1);
		if (!is_in_pieces)
			rig_write(frames, sizeof frames);
		take_releases();
	}
}

static void
replies_in_any_order_find_their_threads(void **state)
{
	struct caller callers[FILES];
	int pieces, round, i;

	(void)state;
	for (pieces = 0; pieces < 2; pieces++) {
		is_in_pieces = pieces == 1;
		begin(serve_in_another_order);
		for (round = 0; round < ROUNDS; round++) {
			call_on_all(callers, SECTION);
			for (i = 0; i < FILES; i++)
				expect(&callers[i], "sm_lock, sm_unlock", 0);
		}
		rig_end();
	}
}

/* One after the other, so that each reply ends the driver's call. */
static void
serve_one_by_one(void)
{
	struct request requests[FILES];
	uint8_t frame[GRANT_FRAME_SIZE];
	int round, i;

	greet();
	for (round = 0; round < ROUNDS && rig.fd >= 0; round++) {
		take_acquires(requests);
		for (i = 0; i < FILES; i++) {
			grant_frame(frame, requests[(i + round) % FILES].tag, (uint8_t)(round + 1));
			rig_write(frame, sizeof frame);
			rig_take_any();
		}
	}
}

static void
a_driver_that_has_its_reply_is_replaced(void **state)
{
	struct caller callers[FILES];
	int round, i;

	(void)state;
	begin(serve_one_by_one);
	for (round = 0; round < ROUNDS; round++) {
		call_on_all(callers, SECTION);
		for (i = 0; i < FILES; i++)
			expect(&callers[i], "sm_lock, sm_unlock", 0);
	}
	rig_end();
}

/* A wait that ends while the grant is on its way. */

static bool cancel_answered_first;
static uint32_t acquire_status; /* 0 or ECANCELED */

static void
serve_a_crossing(void)
{
	uint16_t acquire;
	char hex[32];

	rig_greet();
	rig_take_any(); /* ACQUIRE */
	acquire = rig.tag;
	snprintf(hex, sizeof hex, "%08x", acquire);
	rig_take(OP_CANCEL, hex);
	if (cancel_answered_first)
		rig_answer(0, "");
	rig_answer_tag(acquire, acquire_status,
	    acquire_status != 0 ?
		"" :
		"0000000000000005 0000000000000004 00000001 00000000 00000002 6f6b");
	if (!cancel_answered_first)
		rig_answer(0, "");
	/* CANCEL has ended the grant: there is no RELEASE of it. */
	rig_grant(U64_0, "0000000000000006", "0000000000000004 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000006 01 00000000");
}

static void
expect_crossing(uint32_t status, bool cancel_first)
{
	struct timespec deadline;

	acquire_status = status;
	cancel_answered_first = cancel_first;
	rig_begin(serve_a_crossing);
	deadline = soon();
	FAILS(sm_timedlock(rig.file, &deadline), ETIMEDOUT);
	assert_int_equal(rig.segment[0], 0);
	FAILS(sm_unlock(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
a_grant_that_crosses_cancel_has_ended(void **state)
{
	(void)state;
	expect_crossing(0, false);
	expect_crossing(0, true);
}

static void
a_cancelled_wait_is_etimedout_and_the_connection_goes_on(void **state)
{
	(void)state;
	expect_crossing(ECANCELED, false);
	expect_crossing(ECANCELED, true);
}

/* Half of the grant arrives before the deadline, the rest later. */
static void
serve_half_a_grant_in_time(void)
{
	uint8_t frame[GRANT_FRAME_SIZE];
	struct request a;

	greet();
	a = take_request();
	grant_frame(frame, a.tag, 1);
	rig_write(frame, GRANT_FRAME_SIZE - 3);
	miss_deadline();
	rig_write(frame + GRANT_FRAME_SIZE - 3, 3);
	a = take_request();
	if (a.op == OP_CANCEL)
		rig_answer(0, "");
	else if (a.op != OP_RELEASE)
		rig_surprise("expected a RELEASE or CANCEL, got %s", protocol_op_name(a.op));
}

/* Either result is right, but none leaves a lock behind. */
static void
a_grant_half_of_which_came_in_time_is_kept_or_cancelled(void **state)
{
	struct timespec deadline;
	int result;

	(void)state;
	begin(serve_half_a_grant_in_time);
	deadline = soon();
	result = sm_timedlock(files[0], &deadline);
	if (result == 0)
		OK(sm_unlock(files[0]));
	else
		FAILS(result, ETIMEDOUT);
	rig_end();
}

static void
serve_others_after_a_cancel(void)
{
	struct request timed, other, cancel;
	uint8_t frame[GRANT_FRAME_SIZE];

	greet();
	timed = take_request();
	sem_post(&reached);
	other = take_request();
	cancel = take_request();
	if (cancel.op != OP_CANCEL || cancel.fd != timed.tag)
		rig_surprise("expected a CANCEL of %u, got %s of %u", timed.tag,
		    protocol_op_name(cancel.op), cancel.fd);
	rig_answer_tag(timed.tag, ECANCELED, "");
	rig_answer_tag(cancel.tag, 0, "");
	sem_wait(&go_on);
	grant_frame(frame, other.tag, 1);
	rig_write(frame, sizeof frame);
	rig_take_any();
}

static void
a_driver_that_times_out_is_replaced(void **state)
{
	struct caller timed, other;

	(void)state;
	begin(serve_others_after_a_cancel);
	start(&timed, TIMED_SECTION, files[0]);
	sem_wait(&reached);
	start(&other, SECTION, files[1]);
	finish(&timed);
	expect(&timed, "sm_timedlock", ETIMEDOUT);
	sem_post(&go_on);
	finish(&other);
	expect(&other, "sm_lock, sm_unlock", 0);
	rig_end();
}

/* Silence. */

static size_t silent_after; /* bytes of the reply to another thread */

/* The CANCEL of the timed call is as good as a ping: no other comes before the end. */
static void
serve_silence(void)
{
	uint8_t frame[GRANT_FRAME_SIZE];
	struct request requests[FILES];

	greet();
	take_acquires(requests);
	grant_frame(frame, requests[1].tag, 1);
	rig_write(frame, silent_after);
	if (rig_take_any() != OP_CANCEL && rig.fd >= 0)
		rig_surprise("expected CANCEL");
	rig_take_end();
}

/*
 * The timed call returns in time, and costs the others nothing; these find out that the server is
 * gone when it has been silent for so long.
 */
static void
expect_silence_to_disconnect(size_t bytes)
{
	struct caller callers[FILES];
	int i;

	silent_after = bytes;
	begin_with(SILENCE, serve_silence);
	for (i = 0; i < FILES; i++)
		start(&callers[i], i == 0 ? TIMED_SECTION : LOCK, files[i]);
	for (i = 0; i < FILES; i++)
		finish(&callers[i]);
	expect(&callers[0], "sm_timedlock", ETIMEDOUT);
	if (patience_is_over(callers[0].took, deadline_ms() + LATE_MS))
		fail_msg("sm_timedlock: expected to give up after %lu ms, took %lu",
		    (unsigned long)deadline_ms(), (unsigned long)(callers[0].took / CLOCK_MS));
	for (i = 1; i < FILES; i++) {
		expect(&callers[i], "sm_lock of the others", ECONNRESET);
		if (callers[i].took < SILENCE_MS * CLOCK_MS ||
		    patience_is_over(callers[i].took - SILENCE_MS * CLOCK_MS, SLACK_MS))
			fail_msg("sm_lock: expected to give up after about %d ms, took %lu",
			    SILENCE_MS, (unsigned long)(callers[i].took / CLOCK_MS));
	}
	rig_end();
}

static void
a_silent_server_is_disconnected_after_its_silence(void **state)
{
	(void)state;
	expect_silence_to_disconnect(0);
}

static void
half_a_reply_to_another_thread_then_silence_disconnects(void **state)
{
	(void)state;
	expect_silence_to_disconnect(GRANT_FRAME_SIZE - 1);
}

/* As long as it answers pings a server is not silent, however long a lock is held. */
static void
serve_pings(void)
{
	uint8_t frame[GRANT_FRAME_SIZE];
	struct request requests[FILES];
	int i;

	greet();
	take_acquires(requests);
	for (i = 0; i < PINGS; i++) {
		rig_take(OP_CANCEL, PING);
		rig_answer(0, "");
	}
	for (i = 0; i < FILES; i++) {
		grant_frame(frame, requests[i].tag, 1);
		rig_write(frame, sizeof frame);
	}
	take_releases();
}

static void
a_server_that_answers_pings_is_waited_for(void **state)
{
	struct caller callers[FILES];
	int i;

	(void)state;
	begin_with("silence=1", serve_pings);
	for (i = 0; i < FILES; i++)
		start(&callers[i], SECTION, files[i]);
	for (i = 0; i < FILES; i++)
		finish(&callers[i]);
	for (i = 0; i < FILES; i++)
		expect(&callers[i], "sm_lock, sm_unlock", 0);
	rig_end();
}

/* The server is gone at once after it has answered a ping. */
static void
serve_one_ping(void)
{
	greet();
	(void)take_request(); /* ACQUIRE */
	rig_serve(OP_CANCEL, PING, "");
	rig_take(OP_CANCEL, PING);
	rig_take_end();
}

static void
silence_is_counted_from_the_last_answer(void **state)
{
	uint64_t silence = 3 * CLOCK_SEC, last_answer = silence / 3;
	struct caller waiter;

	(void)state;
	begin_with("silence=3", serve_one_ping);
	start(&waiter, LOCK, files[0]);
	finish(&waiter);
	expect(&waiter, "sm_lock", ECONNRESET);
	if (waiter.took < last_answer + silence ||
	    patience_is_over(waiter.took - last_answer - silence, SLACK_MS))
		fail_msg("sm_lock: expected to give up after about %lu ms, took %lu",
		    (unsigned long)((last_answer + silence) / CLOCK_MS),
		    (unsigned long)(waiter.took / CLOCK_MS));
	rig_end();
}

/* Each of two calls has its answer within the silence, both together do not. */
static void
serve_slowly(void)
{
	int i;

	greet();
	for (i = 0; i < 4; i++) {
		rig_take_any(); /* MMAP or CLOSE */
		if (i % 2 == 0)
			sem_post(&reached);
		usleep(SLOW_MS * 1000);
		rig_answer(0, "");
	}
}

static void
expect_both_in_turn(enum kind first, struct sm_file *a, enum kind second, struct sm_file *b)
{
	struct caller callers[2];

	start(&callers[0], first, a);
	sem_wait(&reached);
	start(&callers[1], second, b);
	finish(&callers[0]);
	finish(&callers[1]);
	expect(&callers[0], "the first call", 0);
	expect(&callers[1], "the call that waited for it", 0);
}

static void
a_call_that_waits_for_another_thread_does_not_blame_the_server(void **state)
{
	(void)state;
	begin_with(SILENCE, serve_slowly);
	expect_both_in_turn(MAP, files[0], CLOSE, files[1]);
	expect_both_in_turn(CLOSE, files[2], MAP, files[3]);
	rig_end();
}

/* Half of the reply to FORK comes before the fork gives it up, the rest later. */
static void
serve_half_a_fork_in_time(void)
{
	uint8_t frame[FRAME_HEADER_SIZE + 8] = { 0 };
	uint16_t acquire;

	greet();
	rig_take(OP_FORK, "");
	frame_put(frame, (struct frame){ frame_tagged(rig.tag, 0), 8 });
	rig_write(frame, sizeof frame - 4);
	sem_wait(&go_on);
	rig_write(frame + sizeof frame - 4, 4);
	rig_serve(OP_STAT, "00000010", STAT_REPLY);
	acquire = take_request().tag;
	rig_take_any(); /* CANCEL */
	rig_answer_tag(acquire, ECANCELED, "");
	rig_answer(0, "");
	rig_serve(OP_STAT, "00000010", STAT_REPLY);
}

static void
half_a_reply_that_a_fork_gave_up_is_no_silence(void **state)
{
	struct timespec deadline;
	struct sm_stat st;
	pid_t pid;

	(void)state;
	begin_with(SILENCE, serve_half_a_fork_in_time);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	sem_post(&go_on);
	OK(sm_stat(files[0], &st));
	usleep(SILENCE_MS * 1000);
	deadline = soon();
	FAILS(sm_timedlock(files[0], &deadline), ETIMEDOUT);
	OK(sm_stat(files[0], &st));
	rig_end();
}

/* The server takes every request and answers none. */
static void
serve_nothing(void)
{
	uint8_t requests[SIZE_KIB];

	greet();
	while (read(rig.fd, requests, sizeof requests) > 0)
		continue;
}

/* Gives up waits for the lock, until the connection ends. Returns NULL when it has. */
static void *
give_up_until_the_end(void *arg)
{
	static const struct timespec past = { .tv_sec = 1 };
	int i;

	for (i = 0; i < GIVEN_UP_MOST; i++)
		if (sm_timedlock(arg, &past) == 0 || errno != ETIMEDOUT)
			return errno == ECONNRESET || errno == ENOTCONN ? NULL : arg;
	return arg;
}

static void
calls_that_are_given_up_are_bounded(void **state)
{
	pthread_t threads[FILES];
	void *failed;
	int i;

	(void)state;
	begin(serve_nothing);
	for (i = 0; i < FILES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give_up_until_the_end, files[i]),
		    0);
	for (i = 0; i < FILES; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	rig_end();
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
	error = mux_wait_for_lock(arg, &c, NULL, CLOCK_NEVER);
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

/* Bytes for others come without a pause, faster than the client can read them. */
static void
serve_without_a_pause(void)
{
	static uint8_t frames[LARGE];
	struct request release, acquire;
	size_t i;

	greet();
	(void)take_request(); /* ACQUIRE */
	rig_answer(0, "0000000000000001 " U64_0);
	release = take_request();
	for (i = 0; i < sizeof frames; i += FRAME_HEADER_SIZE)
		frame_put(frames + i, (struct frame){ frame_tagged(release.tag, ESTALE), 0 });
	acquire = take_request();
	while (sem_trywait(&go_on) != 0 && rig.fd >= 0)
		rig_write(frames, sizeof frames);
	rig_take_any(); /* CANCEL */
	rig_answer_tag(acquire.tag, ECANCELED, "");
	rig_answer(0, "");
	rig_take(OP_STAT, "00000010");
	rig_answer(0, STAT_REPLY);
}

static void
a_timed_call_returns_while_bytes_for_others_come(void **state)
{
	struct caller timed;
	struct sm_stat st;

	(void)state;
	begin(serve_without_a_pause);
	OK(sm_lock(files[1]));
	OK(sm_unlock(files[1]));
	start(&timed, TIMED_SECTION, files[0]);
	finish(&timed);
	expect(&timed, "sm_timedlock", ETIMEDOUT);
	if (patience_is_over(timed.took, deadline_ms() + LATE_MS))
		fail_msg("sm_timedlock: expected to give up after %lu ms, took %lu",
		    (unsigned long)deadline_ms(), (unsigned long)(timed.took / CLOCK_MS));
	sem_post(&go_on);
	OK(sm_stat(files[0], &st));
	rig_end();
}

/* The end, at each byte. */

static size_t reply_cut;
static uint16_t stray_tag; /* instead of the end: a reply to no request */

static void
serve_an_end(void)
{
	uint8_t frame[GRANT_FRAME_SIZE];
	struct request requests[FILES];

	greet();
	take_acquires(requests);
	if (stray_tag != 0) {
		rig_answer_tag(stray_tag, stray_tag & 0x8000 ? ESTALE : 0, "");
		rig_take_end();
		return;
	}
	grant_frame(frame, requests[2].tag, 1);
	rig_write(frame, reply_cut);
}

static void
expect_all_to_fail(int error)
{
	struct caller callers[FILES];
	int i;

	begin(serve_an_end);
	for (i = 0; i < FILES; i++)
		start(&callers[i], i % 2 == 0 ? LOCK : RDLOCK, files[i]);
	for (i = 0; i < FILES; i++)
		finish(&callers[i]);
	for (i = 0; i < FILES; i++)
		expect(&callers[i], "sm_lock", error);
	for (i = 0; i < FILES; i++)
		FAILS(sm_lock(files[i]), ENOTCONN);
	rig_end();
}

static void
a_server_that_closes_at_any_byte_is_econnreset_for_all_waiters(void **state)
{
	(void)state;
	for (reply_cut = 0; reply_cut < GRANT_FRAME_SIZE; reply_cut++)
		expect_all_to_fail(ECONNRESET);
}

static void
a_reply_that_no_call_waits_for_is_eproto_for_all(void **state)
{
	(void)state;
	stray_tag = 0x7000;
	expect_all_to_fail(EPROTO);
	stray_tag = 0xff00;
	expect_all_to_fail(EPROTO);
	stray_tag = 0;
}

/* Late refusals. */

#define ACQUIRED_OK "0000000000000009 00000001 00000000 00000002 6f6b"

static void
greet_mapped(void)
{
	rig_greet();
	rig_serve(OP_OPEN, "00000002 2f67", "00000008");
	rig_grant(U64_0, "0000000000000001", ACQUIRED_OK);
}

static void
serve_a_refusal_before_another_files_reply(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_STAT, "00000008");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, STAT_REPLY);
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_is_reported_on_its_own_file_only(void **state)
{
	struct sm_file *other;
	struct sm_stat st;

	(void)state;
	rig_begin(serve_a_refusal_before_another_files_reply);
	other = rig_open_other();
	rig_publish('X');
	OK(sm_stat(other, &st));
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

static void
serve_a_refusal_before_the_same_files_reply(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000001");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, "0000000000000002 " ACQUIRED_OK);
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_before_the_same_files_grant_releases_the_grant(void **state)
{
	(void)state;
	rig_begin(serve_a_refusal_before_the_same_files_reply);
	(void)rig_open_other();
	rig_publish('X');
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

static bool has_retried; /* the thread that got a grant that it could not use */

/*
 * One thread sends an ACQUIRE with a since that the refusal makes wrong. The reply to another
 * thread's STAT of the same file comes before the grant, so that the refusal may be reported to
 * that thread.
 */
static void
serve_a_refusal_that_is_reported_to_another_thread(void)
{
	uint16_t release, acquire;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000001");
	acquire = rig.tag;
	sem_post(&reached);
	rig_take(OP_STAT, "00000007");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, STAT_REPLY);
	sem_wait(&go_on);
	/*
	 * The master copy lacks what this client wrote, and the delta since 1 does not name block
	 * 0.
	 */
	rig_answer_tag(acquire, 0,
	    "0000000000000002 0000000000000009 00000001 00001000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
	/* The next ACQUIRE comes from the same thread or from the main one. */
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
	rig_take(OP_RELEASE, "00000007 0000000000000003 01 00000000");
	sem_wait(&go_on);
	if (has_retried) {
		rig_grant("0000000000000009", "0000000000000004", "0000000000000009 00000000");
		rig_take(OP_RELEASE, "00000007 0000000000000004 01 00000000");
	}
}

static void
a_late_refusal_reported_to_another_thread_does_not_let_a_wrong_grant_pass(void **state)
{
	struct caller locker;
	struct sm_stat st;
	int result;

	(void)state;
	rig_begin(serve_a_refusal_that_is_reported_to_another_thread);
	(void)rig_open_other();
	rig_publish('X');
	start(&locker, SECTION, rig.file);
	sem_wait(&reached);
	result = sm_stat(rig.file, &st);
	sem_post(&go_on);
	finish(&locker);
	if (locker.error == 0 && memcmp(rig.segment, "ok", 2) != 0)
		fail_msg(
		    "sm_stat said %d, sm_lock 0: expected block 0 to begin with 6f6b, got %02x%02x",
		    result, rig.segment[0], rig.segment[1]);
	if (locker.error != 0)
		expect(&locker, "sm_lock", ESTALE);
	has_retried = locker.error == 0;
	sem_post(&go_on);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	OK(sm_unlock(rig.file));
	rig_end();
}

/* A reader that wants to join asks whether another process waits, and the refusal comes then. */
static void
serve_a_refusal_to_a_joining_reader(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " 0000000000000001",
	    "0000000000000002 0000000000000001 00000000");
	rig_take(OP_STAT, "00000007");
	rig_answer_tag(release, ESTALE, "");
	do
		rig_answer(0, STAT_REPLY);
	while (rig_take_any() == OP_STAT);
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_that_a_joining_reader_meets_is_reported(void **state)
{
	struct caller second, third;

	(void)state;
	rig_begin(serve_a_refusal_to_a_joining_reader);
	(void)rig_open_other();
	rig_publish('X');
	OK(sm_rdlock(rig.file));
	start(&second, READ_UNTIL_TOLD, rig.file);
	sem_wait(&reached);
	OK(sm_unlock(rig.file));
	start(&third, READ, rig.file);
	finish(&third);
	sem_post(&go_on);
	finish(&second);
	expect(&second, "sm_rdlock, sm_unlock of the second reader", 0);
	expect(&third, "sm_rdlock, sm_unlock of the third", 0);
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

/* Waiting for a lock. */

static void
serve_all_but_one(void)
{
	struct request held;
	int i;

	greet();
	held = take_request();
	sem_post(&reached);
	for (i = 0; i < ROUNDS; i++) {
		rig_take_any(); /* ACQUIRE */
		rig_answer(0, "0000000000000001 " U64_0);
		rig_take_any(); /* RELEASE */
		rig_take(OP_STAT, "00000011");
		rig_answer(0, STAT_REPLY);
		rig_serve(OP_OPEN, "00000002 2f67", "00000020");
		rig_serve(OP_CLOSE, "00000020", "");
	}
	rig_answer_tag(held.tag, 0, "0000000000000001 " U64_0);
	rig_take_any(); /* RELEASE */
}

static void
a_thread_that_waits_for_a_lock_delays_no_other(void **state)
{
	struct caller waiter;
	struct sm_file *other;
	struct sm_stat st;
	int i;

	(void)state;
	begin(serve_all_but_one);
	start(&waiter, SECTION, files[0]);
	sem_wait(&reached);
	for (i = 0; i < ROUNDS; i++) {
		OK(sm_lock(files[1]));
		OK(sm_unlock(files[1]));
		OK(sm_stat(files[1], &st));
		other = rig_open_other();
		OK(sm_close(other));
	}
	finish(&waiter);
	expect(&waiter, "sm_lock, sm_unlock", 0);
	rig_end();
}

/* Both ends have much to send. */

static bool is_timed;

/* Takes the header of a RELEASE that is too large for the rig to keep; returns the body's size. */
static uint32_t
take_large_header(void)
{
	uint8_t header[FRAME_HEADER_SIZE] = { 0 };
	struct frame f;

	if (rig.fd >= 0 &&
	    recv(rig.fd, header, sizeof header, MSG_WAITALL) != (ssize_t)sizeof header)
		rig_surprise("expected a header");
	f = frame_get(header);
	if (rig.fd >= 0 && frame_untagged(f.code) != OP_RELEASE)
		rig_surprise("expected RELEASE, got %s", protocol_op_name(frame_untagged(f.code)));
	return f.body_size;
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
	struct request a;
	uint16_t acquire;
	uint32_t size;
	char hex[64];

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN, "00000002 2f67", "00000008");
	snprintf(hex, sizeof hex, "00000007 %08x", (unsigned)LARGE);
	rig_serve(OP_MMAP, hex, "");
	snprintf(hex, sizeof hex, "00000008 %08x", (unsigned)LARGE);
	rig_serve(OP_MMAP, hex, "");
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	a = take_request(); /* ACQUIRE of the other file */
	acquire = a.tag;
	sem_post(&reached);
	size = take_large_header();
	/* The deadline passes, and CANCEL has to wait, while the RELEASE is being sent. */
	if (is_timed)
		miss_deadline();
	grant_large(acquire);
	discard(size);
	a = take_request();
	if (a.op == OP_CANCEL)
		rig_answer(0, "");
	else if (a.op != OP_RELEASE)
		rig_surprise("expected a RELEASE or CANCEL, got %s of %u", protocol_op_name(a.op),
		    a.fd);
	/* The connection goes on. */
	rig_take(OP_STAT, "00000008");
	rig_answer(0, STAT_REPLY);
}

static void
expect_both_to_arrive(enum kind kind)
{
	struct sm_file *other;
	struct caller caller;
	struct sm_stat st;
	uint8_t *segment, *received;

	is_timed = kind == TIMED_SECTION;
	rig_begin_with("track=diff", serve_much);
	other = rig_open_other();
	segment = sm_map(rig.file, NULL, LARGE);
	assert_non_null(segment);
	received = sm_map(other, NULL, LARGE);
	assert_non_null(received);
	OK(sm_lock(rig.file));
	memset(segment, 'r', LARGE);
	start(&caller, kind, other);
	sem_wait(&reached);
	OK(sm_unlock(rig.file));
	finish(&caller);
	if (caller.error == ETIMEDOUT && is_timed) {
		assert_int_equal(received[0], 0);
	} else {
		expect(&caller, "the other's lock", 0);
		assert_int_equal(received[LARGE - 1], 'g');
	}
	OK(sm_stat(other, &st));
	rig_end();
}

static void
a_huge_release_and_a_huge_grant_pass_each_other(void **state)
{
	(void)state;
	expect_both_to_arrive(SECTION);
}

static void
they_pass_also_while_a_cancel_waits_to_be_sent(void **state)
{
	(void)state;
	expect_both_to_arrive(TIMED_SECTION);
}

/* A test that hangs. */

static const char *running;

static void
report_hang(int signal)
{
	char text[800];
	int size = snprintf(text, sizeof text, "\n%s hangs; the peer: %s\n", running, rig.surprise);

	(void)signal;
	(void)!write(STDERR_FILENO, text, (size_t)size);
	_exit(1);
}

static int
setup(void **state)
{
	running = *state;
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	signal(SIGALRM, report_hang);
	alarm((unsigned)patience_ms(WATCHDOG_S));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	/* The script of a failed test may still wait. */
	sem_post(&go_on);
	rig_abandon();
	alarm(0);
	return 0;
}

#define TEST(name) \
	{ \
#name, name, setup, teardown, (char *)#name \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(replies_in_any_order_find_their_threads),
		TEST(a_driver_that_has_its_reply_is_replaced),
		TEST(a_grant_that_crosses_cancel_has_ended),
		TEST(a_cancelled_wait_is_etimedout_and_the_connection_goes_on),
		TEST(a_grant_half_of_which_came_in_time_is_kept_or_cancelled),
		TEST(a_driver_that_times_out_is_replaced),
		TEST(a_silent_server_is_disconnected_after_its_silence),
		TEST(half_a_reply_to_another_thread_then_silence_disconnects),
		TEST(a_server_that_answers_pings_is_waited_for),
		TEST(silence_is_counted_from_the_last_answer),
		TEST(a_call_that_waits_for_another_thread_does_not_blame_the_server),
		TEST(half_a_reply_that_a_fork_gave_up_is_no_silence),
		TEST(calls_that_are_given_up_are_bounded),
		TEST(a_ping_waits_for_room),
		TEST(a_cancel_does_not_wait_for_room_behind_a_ping),
		TEST(a_timed_call_returns_while_bytes_for_others_come),
		TEST(a_server_that_closes_at_any_byte_is_econnreset_for_all_waiters),
		TEST(a_reply_that_no_call_waits_for_is_eproto_for_all),
		TEST(a_late_refusal_is_reported_on_its_own_file_only),
		TEST(a_late_refusal_before_the_same_files_grant_releases_the_grant),
		TEST(a_late_refusal_reported_to_another_thread_does_not_let_a_wrong_grant_pass),
		TEST(a_late_refusal_that_a_joining_reader_meets_is_reported),
		TEST(a_thread_that_waits_for_a_lock_delays_no_other),
		TEST(a_huge_release_and_a_huge_grant_pass_each_other),
		TEST(they_pass_also_while_a_cancel_waits_to_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
