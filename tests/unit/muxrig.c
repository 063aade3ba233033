#include "tests/unit/muxrig.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"
#include "tests/unit/rig.h"

enum {
	WATCHDOG_S = 45,
	DEADLINE_MOST_MS = 500 /* a third of the silence would be a ping */
};

struct sm_file *muxrig_files[MUXRIG_FILES];
sem_t muxrig_reached, muxrig_go_on;

uint64_t
muxrig_deadline_ms(void)
{
	uint64_t ms = patience_ms(MUXRIG_DEADLINE_MS);

	return ms < DEADLINE_MOST_MS ? ms : DEADLINE_MOST_MS;
}

void
muxrig_miss_deadline(void)
{
	usleep((useconds_t)(muxrig_deadline_ms() + 4 * MUXRIG_DEADLINE_MS) * 1000);
}

struct timespec
muxrig_soon(void)
{
	return clock_timespec(clock_after_ms(clock_now(), muxrig_deadline_ms()));
}

/* Posts muxrig_reached when it reads, and waits for muxrig_go_on. */
static int
read_until_told(struct sm_file *file)
{
	int error = sm_rdlock(file);

	sem_post(&muxrig_reached);
	if (error != 0)
		return error;
	sem_wait(&muxrig_go_on);
	return sm_unlock(file);
}

static int
call(enum muxrig_kind kind, struct sm_file *file)
{
	struct timespec deadline = muxrig_soon();

	switch (kind) {
	case CALL_LOCK:
		return sm_lock(file);
	case CALL_TIMED_SECTION:
		return sm_timedlock(file, &deadline) != 0 ? -1 : sm_unlock(file);
	case CALL_RDLOCK:
		return sm_rdlock(file);
	case CALL_READ:
		return sm_rdlock(file) != 0 ? -1 : sm_unlock(file);
	case CALL_READ_UNTIL_TOLD:
		return read_until_told(file);
	case CALL_SECTION:
		return sm_lock(file) != 0 ? -1 : sm_unlock(file);
	case CALL_MAP:
		return sm_map(file, NULL, SIZE_BLOCK) == NULL ? -1 : 0;
	case CALL_CLOSE:
		return sm_close(file);
	}
	return -1;
}

static void *
run_caller(void *arg)
{
	struct muxrig_caller *c = arg;
	uint64_t delayed = procfs_delayed_ns(gettid());

	c->begun = clock_now();
	c->result = call(c->kind, c->file);
	c->error = c->result == 0 ? 0 : errno;
	c->took = clock_now() - c->begun;
	delayed = procfs_delayed_ns(gettid()) - delayed;
	c->net = c->took > delayed ? c->took - delayed : 0;
	return NULL;
}

void
muxrig_start(struct muxrig_caller *c, enum muxrig_kind kind, struct sm_file *file)
{
	*c = (struct muxrig_caller){ .kind = kind, .file = file };
	assert_int_equal(pthread_create(&c->thread, NULL, run_caller, c), 0);
}

void
muxrig_finish(struct muxrig_caller *c)
{
	pthread_join(c->thread, NULL);
}

void
muxrig_call_on_all(struct muxrig_caller callers[MUXRIG_FILES], enum muxrig_kind kind)
{
	int i;

	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_start(&callers[i], kind, muxrig_files[i]);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_finish(&callers[i]);
}

void
muxrig_expect(const struct muxrig_caller *c, const char *call, int error)
{
	if (c->error != error)
		fail_msg("%s: expected %s, got %s after %lu ms; the peer: %s", call,
		    strerror(error), strerror(c->error), (unsigned long)(c->took / CLOCK_MS),
		    rig.surprise);
}

void
muxrig_begin_with(const char *options, rig_script *script)
{
	char path[] = "/m/0";
	size_t i;

	rig_begin_with(options, script);
	for (i = 0; i < MUXRIG_FILES; i++) {
		path[3] = (char)('0' + i);
		muxrig_files[i] = sm_open(rig.sm, path);
		if (muxrig_files[i] == NULL)
			fail_msg("sm_open: %s; the peer: %s", sm_error(rig.sm), rig.surprise);
	}
}

void
muxrig_begin(rig_script *script)
{
	muxrig_begin_with(NULL, script);
}

void
muxrig_greet(void)
{
	char name[16], fd[16];
	int i;

	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	for (i = 0; i < MUXRIG_FILES; i++) {
		snprintf(name, sizeof name, "00000002 2f%02x", '0' + i);
		snprintf(fd, sizeof fd, "%08x", MUXRIG_FIRST_FD + i);
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

struct muxrig_request
muxrig_take_request(void)
{
	struct muxrig_request a = { .op = rig_take_any() };

	a.tag = rig.tag;
	a.fd = rig.body_size >= 4 ? number_at(rig.body) : UINT32_MAX;
	return a;
}

void
muxrig_take_acquires(struct muxrig_request requests[MUXRIG_FILES])
{
	struct muxrig_request a;
	int i;

	for (i = 0; i < MUXRIG_FILES && rig.fd >= 0; i++) {
		a = muxrig_take_request();
		if (a.op != OP_ACQUIRE || a.fd < MUXRIG_FIRST_FD ||
		    a.fd >= MUXRIG_FIRST_FD + MUXRIG_FILES)
			rig_surprise("expected an ACQUIRE, got %s of %u", protocol_op_name(a.op),
			    a.fd);
		else
			requests[a.fd - MUXRIG_FIRST_FD] = a;
	}
}

void
muxrig_take_releases(void)
{
	struct muxrig_request a;
	int i;

	for (i = 0; i < MUXRIG_FILES && rig.fd >= 0; i++) {
		a = muxrig_take_request();
		if (a.op != OP_RELEASE && rig.fd >= 0)
			rig_surprise("expected a RELEASE, got %s of %u", protocol_op_name(a.op),
			    a.fd);
	}
}

void
muxrig_grant_frame(uint8_t frame[MUXRIG_GRANT_SIZE], uint16_t tag, uint8_t grant)
{
	memset(frame, 0, MUXRIG_GRANT_SIZE);
	frame_put(frame, (struct frame){ frame_tagged(tag, 0), 16 });
	frame[FRAME_HEADER_SIZE + 7] = grant;
}

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

int
muxrig_setup(void **state)
{
	running = *state;
	sem_init(&muxrig_reached, 0, 0);
	sem_init(&muxrig_go_on, 0, 0);
	signal(SIGALRM, report_hang);
	alarm((unsigned)patience_ms(WATCHDOG_S));
	return 0;
}

int
muxrig_teardown(void **state)
{
	(void)state;
	/* The script of a failed test may still wait. */
	sem_post(&muxrig_go_on);
	rig_abandon();
	alarm(0);
	return 0;
}
