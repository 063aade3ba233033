/*
 * Nobody reads a server's log: it serves on, and SIGTERM stops it. Its standard error is a pipe, a
 * socket or a terminal, which other processes share: these do not find it non-blocking. The server
 * counts the lines that are lost, and tells the number once somebody reads; no line is torn.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/outlet.h"
#include "tests/stress/patience.h"

enum {
	PEERS = 4000,    /* their lines fill a pipe and the server's queue several times */
	STOP_MS = 3000,  /* within which a server stops; it waits a second for its log */
	SERVE_MS = 1000, /* that an honest client waits at most */
	OTHERS = 100,    /* lines at most about the longest turns, which a busy machine makes */
	LOOK_MS = 10,
	CHUNK = 4096,
	LINE_SIZE = 2048
};

struct scene {
	struct outlet outlet; /* its writer is the server's standard error */
	struct daemon daemon;
	struct client client; /* connected all the time */
};

static struct scene scene;

static int
setup(void **state)
{
	*state = &scene;
	scene = (struct scene){ .outlet = { -1, -1 }, .daemon = { .pid = -1 } };
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	client_close(&s->client);
	daemon_fini(&s->daemon);
	outlet_close(&s->outlet);
	return 0;
}

static void
increment(struct client *c, uint64_t expected)
{
	uint64_t begin = clock_now();

	if (sm_lock(c->file) != 0)
		fail_msg("an honest client cannot lock: %s", sm_error(NULL));
	assert_int_equal(c->words[0], expected);
	c->words[0]++;
	if (sm_unlock(c->file) != 0)
		fail_msg("an honest client cannot unlock: %s", sm_error(NULL));
	if (patience_is_over(clock_now() - begin, SERVE_MS))
		fail_msg("an honest client waited for %lu ms",
		    (unsigned long)((clock_now() - begin) / CLOCK_MS));
}

static void
begin(struct scene *s, void (*make)(struct outlet *), bool is_smuf)
{
	make(&s->outlet);
	daemon_init(&s->daemon, &(struct daemon_config){ .is_smuf = is_smuf, .args = { "-v" } });
	s->daemon.error_fd = s->outlet.writer;
	daemon_start(&s->daemon);
	client_expect_open(&s->client, &s->daemon, CLIENT_MOUNT "/honest", sizeof(uint64_t));
	increment(&s->client, 0);
}

/*
 * Connects, without sleeping in connect(2): a server that accepts no more fails the test at the
 * deadline.
 */
static int
dial(const struct daemon *d, uint64_t deadline)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strlcpy(sun.sun_path, d->socket, sizeof sun.sun_path);
	while (connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
		if (errno != EAGAIN)
			fail_msg("connect: %s", strerror(errno));
		if (clock_now() > deadline)
			fail_msg("the server accepts no more connections");
		patience_breathe();
	}
	return fd;
}

/* The peers come, say words, and leave. Each makes the server write two lines. */
static void
attack(struct scene *s, const char *words)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int i, fd;

	for (i = 0; i < PEERS; i++) {
		fd = dial(&s->daemon, deadline);
		if (*words != '\0')
			assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL),
			    strlen(words));
		close(fd);
	}
}

static void
expect_served(struct scene *s)
{
	struct client newcomer;

	increment(&s->client, 1);
	client_expect_open(&newcomer, &s->daemon, CLIENT_MOUNT "/honest", sizeof(uint64_t));
	increment(&newcomer, 2);
	client_close(&newcomer);
}

static void
expect_stopped(struct scene *s)
{
	uint64_t begun = clock_now();

	daemon_stop(&s->daemon);
	if (patience_is_over(clock_now() - begun, STOP_MS))
		fail_msg("the server stopped after %lu ms",
		    (unsigned long)((clock_now() - begun) / CLOCK_MS));
}

/* Nobody reads. */
static void
besiege(struct scene *s, void (*make)(struct outlet *), bool is_smuf)
{
	int flags;

	begin(s, make, is_smuf);
	flags = fcntl(s->outlet.writer, F_GETFL);
	assert_int_equal(flags & O_NONBLOCK, 0);
	attack(s, "\377\377\377\377\377\377\377\377");
	expect_served(s);
	assert_int_equal(fcntl(s->outlet.writer, F_GETFL), flags);
	expect_stopped(s);
	assert_int_equal(fcntl(s->outlet.writer, F_GETFL), flags);
}

static void
nobody_reads_the_pipe_of_smdishserver(void **state)
{
	besiege(*state, outlet_make_pipe, false);
}

static void
nobody_reads_the_pipe_of_smufserver(void **state)
{
	besiege(*state, outlet_make_pipe, true);
}

static void
nobody_reads_the_socket(void **state)
{
	besiege(*state, outlet_make_socket, false);
}

static void
nobody_reads_the_terminal(void **state)
{
	besiege(*state, outlet_make_terminal, false);
}

/* Somebody reads, late. */

/* Reads what is there; waits a moment for the first byte. False at the end. */
static bool
read_some(int fd, struct buf *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[CHUNK];
	ssize_t n;

	if (poll(&p, 1, LOOK_MS) <= 0)
		return true;
	n = read(fd, bytes, sizeof bytes);
	if (n <= 0) /* a terminal says EIO */
		return false;
	assert_int_equal(buf_append(in, bytes, (size_t)n), 0);
	return true;
}

/* The lines about connections that line stands for: one, or those that it says were lost. */
static unsigned long
lines_told(const char *line, const char *program)
{
	const char *text = strstr(line, program), *count = strstr(line, "warning: ");

	/* A torn line has no beginning, or a second one. */
	if (strncmp(line, "20", 2) != 0 || text == NULL || strstr(text + 1, program) != NULL)
		fail_msg("this line is torn: %s", line);
	if (strstr(line, ": connected, ") != NULL || strstr(line, ": disconnected") != NULL)
		return 1;
	return count != NULL && strstr(line, " lines of the log were lost: ") != NULL ?
	    strtoul(count + strlen("warning: "), NULL, 10) :
	    0;
}

/* Moves the whole lines out of in. Returns the lines that they stand for. */
static unsigned long
count_lines(struct buf *in, const char *program)
{
	unsigned long sum = 0;
	char line[LINE_SIZE];
	const uint8_t *end;
	size_t size;

	while (buf_size(in) > 0 && (end = memchr(buf_data(in), '\n', buf_size(in))) != NULL) {
		size = (size_t)(end - buf_data(in));
		assert_in_range(size, 1, sizeof line - 1);
		memcpy(line, buf_data(in), size);
		line[size] = '\0';
		buf_consume(in, size + 1);
		sum += lines_told(line, program);
	}
	return sum;
}

static void
read_lines(struct scene *s, struct buf *in, unsigned long expected)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	unsigned long told = 0;
	char program[64];

	snprintf(program, sizeof program, " smdishserver[%ld] ", (long)s->daemon.pid);
	/* A line about something else may be cut by the size of a read. */
	while ((told < expected || buf_size(in) > 0) && clock_now() < deadline) {
		assert_true(read_some(s->outlet.reader, in));
		told += count_lines(in, program);
	}
	/* Lines about other things do not count when they come, but when they are lost. */
	if (told < expected || told > expected + OTHERS)
		fail_msg("lines that came or were told as lost: expected %lu to %lu, got %lu",
		    expected, expected + OTHERS, told);
}

static void
read_to_the_end(struct scene *s, struct buf *in)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	close(s->outlet.writer);
	s->outlet.writer = -1;
	while (read_some(s->outlet.reader, in))
		if (clock_now() > deadline)
			fail_msg("the log has no end");
}

static void
read_late(struct scene *s, void (*make)(struct outlet *))
{
	struct buf in = { 0 };

	begin(s, make, false);
	attack(s, "");
	increment(&s->client, 1);
	/* Two lines for each peer and for daemon_start(), one for the client, which stays. */
	read_lines(s, &in, 2 * (PEERS + 1) + 1);
	assert_int_equal(buf_size(&in), 0);
	client_close(&s->client);
	daemon_signal(&s->daemon, SIGTERM);
	read_to_the_end(s, &in);
	assert_non_null(memmem(buf_data(&in), buf_size(&in), "stopping\n", 9));
	buf_fini(&in);
	expect_stopped(s);
}

static void
a_late_reader_of_the_pipe_learns_what_was_lost(void **state)
{
	read_late(*state, outlet_make_pipe);
}

static void
a_late_reader_of_the_socket_learns_what_was_lost(void **state)
{
	read_late(*state, outlet_make_socket);
}

static void
a_late_reader_of_the_terminal_learns_what_was_lost(void **state)
{
	read_late(*state, outlet_make_terminal);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(nobody_reads_the_pipe_of_smdishserver),
		SCENE(nobody_reads_the_pipe_of_smufserver),
		SCENE(nobody_reads_the_socket),
		SCENE(nobody_reads_the_terminal),
		SCENE(a_late_reader_of_the_pipe_learns_what_was_lost),
		SCENE(a_late_reader_of_the_socket_learns_what_was_lost),
		SCENE(a_late_reader_of_the_terminal_learns_what_was_lost),
	};

	return cmocka_run_group_tests_name("a log that blocks", tests, NULL, NULL);
}
