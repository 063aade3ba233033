#include "tests/unit/rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "tests/stress/patience.h"

enum { PATIENCE_S = 20 };

struct rig rig;

void
rig_surprise(const char *format, ...)
{
	va_list args;

	if (*rig.surprise == '\0') {
		va_start(args, format);
		(void)vsnprintf(rig.surprise, sizeof rig.surprise, format, args);
		va_end(args);
	}
	if (rig.fd >= 0)
		close(rig.fd);
	rig.fd = -1;
}

/* Reads exactly size bytes. */
static bool
read_all(void *out, size_t size)
{
	uint8_t *bytes = out;
	ssize_t n;

	while (size > 0 && rig.fd >= 0) {
		n = recv(rig.fd, bytes, size, 0);
		if (n <= 0) {
			rig_surprise("expected %zu more bytes, got %s", size,
			    n == 0 ? "the end" : strerror(errno));
			return false;
		}
		bytes += n;
		size -= (size_t)n;
	}
	return rig.fd >= 0;
}

void
rig_write(const void *bytes, size_t size)
{
	if (rig.fd >= 0 && send(rig.fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
		rig_surprise("cannot write: %s", strerror(errno));
}

size_t
rig_unhex(uint8_t *out, const char *hex)
{
	size_t size = 0;
	unsigned byte;

	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		if (sscanf(hex, "%2x", &byte) != 1)
			abort();
		out[size++] = (uint8_t)byte;
		hex++;
	}
	return size;
}

static void
hex_of(char *out, size_t room, const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size && 2 * i + 3 < room; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
	out[2 * i] = '\0';
}

uint32_t
rig_take_any(void)
{
	uint8_t header[FRAME_HEADER_SIZE] = { 0 };
	struct frame f;

	read_all(header, sizeof header);
	f = frame_get(header);
	rig.body_size = f.body_size;
	if (f.body_size > RIG_BODY_MOST)
		rig_surprise("a body of %u bytes", f.body_size);
	else
		read_all(rig.body, f.body_size);
	rig.tag = rig.has_tags ? frame_tag(f.code) : 0;
	if (rig.fd < 0)
		return OP_COUNT;
	return rig.has_tags ? frame_untagged(f.code) : f.code;
}

void
rig_take(enum protocol_op op, const char *hex)
{
	uint8_t expected[512];
	char got[256];
	size_t size = rig_unhex(expected, hex);
	uint32_t is = rig_take_any();

	if (rig.fd < 0)
		return;
	hex_of(got, sizeof got, rig.body, rig.body_size);
	if (is != op)
		rig_surprise("expected %s, got %s %s", protocol_op_name(op), protocol_op_name(is),
		    got);
	else if (size != rig.body_size || memcmp(expected, rig.body, size) != 0)
		rig_surprise("%s: expected %s, got %s", protocol_op_name(op), hex, got);
}

void
rig_answer_tag(uint16_t tag, uint32_t status, const char *hex)
{
	static uint8_t bytes[FRAME_HEADER_SIZE + RIG_BODY_MOST];
	size_t size = rig_unhex(bytes + FRAME_HEADER_SIZE, hex);

	frame_put(bytes,
	    (struct frame){
		.code = rig.has_tags ? frame_tagged(tag, status) : status,
		.body_size = (uint32_t)size,
	    });
	rig_write(bytes, FRAME_HEADER_SIZE + size);
}

void
rig_answer(uint32_t status, const char *hex)
{
	rig_answer_tag(rig.tag, status, hex);
}

void
rig_serve(enum protocol_op op, const char *hex, const char *reply)
{
	rig_take(op, hex);
	rig_answer(0, reply);
}

void
rig_take_end(void)
{
	uint8_t byte;

	if (rig.fd >= 0 && recv(rig.fd, &byte, 1, 0) != 0)
		rig_surprise("expected the end, got a byte %02x", byte);
}

void
rig_hang_up(void)
{
	if (rig.fd >= 0)
		close(rig.fd);
	rig.fd = -1;
}

static void
set_patience(int fd)
{
	const struct timeval patience = { .tv_sec = (time_t)patience_ms(PATIENCE_S) };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

void
rig_accept(void)
{
	rig.fd = accept(rig.listener, NULL, NULL);
	rig.has_tags = false;
	if (rig.fd < 0)
		rig_surprise("no client connects: %s", strerror(errno));
	else
		set_patience(rig.fd);
}

void
rig_greet_with(const char *features)
{
	char reply[128];

	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	snprintf(reply, sizeof reply, "00000002 %s 00001000 00100000 " RIG_INSTANCE, features);
	rig_answer(0, reply);
	rig.has_tags = true;
	rig_serve(OP_NEW_FDTABLE, "", "");
}

void
rig_greet(void)
{
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_MMAP, "00000007 00003005", "");
}

void
rig_grant(const char *since, const char *grant, const char *rest)
{
	char hex[256];

	snprintf(hex, sizeof hex, "00000007 01 " FOREVER " %s", since);
	rig_take(OP_ACQUIRE, hex);
	snprintf(hex, sizeof hex, "%s %s", grant, rest);
	rig_answer(0, hex);
}

static void *
run_script(void *arg)
{
	(void)arg;
	rig.script();
	rig_hang_up();
	return NULL;
}

void
rig_listen(char uri[200], void (*script)(void))
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	static unsigned count;

	snprintf(sun.sun_path + 1, sizeof sun.sun_path - 1, "memserver.rig.%d.%u", (int)getpid(),
	    count++);
	snprintf(uri, 200, "abstract:%s", sun.sun_path + 1);
	memset(&rig, 0, offsetof(struct rig, body));
	rig.surprise[0] = '\0';
	rig.fd = -1;
	rig.script = script;
	rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_patience(rig.listener);
	assert_int_equal(bind(rig.listener, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				 strlen(sun.sun_path + 1))),
	    0);
	assert_int_equal(listen(rig.listener, 5), 0);
	assert_int_equal(pthread_create(&rig.thread, NULL, run_script, NULL), 0);
}

void
rig_begin_with(const char *options, void (*script)(void))
{
	char uri[200];

	rig_listen(uri, script);
	rig.sm = sm_new();
	assert_non_null(rig.sm);
	assert_int_equal(sm_mount(rig.sm, uri, "/m", "smdish", options), 0);
	rig.segment = NULL;
	rig.file = sm_open(rig.sm, "/m/f");
	if (rig.file == NULL)
		fail_msg("sm_open: %s; the peer: %s", sm_error(rig.sm), rig.surprise);
}

void
rig_begin(void (*script)(void))
{
	rig_begin_with(NULL, script);
	rig.segment = sm_map(rig.file, NULL, RIG_SEGMENT);
	if (rig.segment == NULL)
		fail_msg("sm_map: %s; the peer: %s", sm_error(rig.sm), rig.surprise);
}

struct sm_file *
rig_open_other(void)
{
	struct sm_file *other = sm_open(rig.sm, "/m/g");

	if (other == NULL)
		fail_msg("sm_open: %s; the peer: %s", sm_error(rig.sm), rig.surprise);
	return other;
}

void
rig_publish(char byte)
{
	OK(sm_lock(rig.file));
	rig.segment[0] = (uint8_t)byte;
	OK(sm_unlock(rig.file));
}

void
rig_wait(void)
{
	if (!rig.is_over)
		pthread_join(rig.thread, NULL);
	rig.is_over = true;
}

/* Frees the client and waits for the script. */
static void
stop(void)
{
	sm_free(rig.sm);
	rig.sm = NULL;
	rig_wait();
}

void
rig_abandon(void)
{
	if (rig.sm == NULL)
		return;
	/* No client connects any more: a script that waits for one gets a surprise. */
	shutdown(rig.listener, SHUT_RDWR);
	stop();
	close(rig.listener);
}

void
rig_end(void)
{
	stop();
	close(rig.listener);
	if (*rig.surprise != '\0')
		fail_msg("the peer: %s", rig.surprise);
}

void
rig_expect_ok(const char *call, int result)
{
	if (result != 0)
		fail_msg("%s: expected 0, got %s; the peer: %s", call, sm_error(rig.sm),
		    rig.surprise);
}

void
rig_expect_errno(const char *call, int result, int error)
{
	int got = errno;

	if (result != -1 || got != error)
		fail_msg("%s: expected %s, got %s (%s); the peer: %s", call, strerror(error),
		    result == 0 ? "success" : strerror(got), sm_error(rig.sm), rig.surprise);
}
