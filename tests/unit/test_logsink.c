/*
 * Lines of the log into pipes, sockets, terminals and files that are full, broken or limited: none
 * waits, none is torn, the order stays, and each one that is lost is counted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/logsink.h"
#include "tests/stress/outlet.h"
#include "tests/stress/scratch.h"
#include "tests/unit/body.h"

enum {
	LINE = 101,         /* bytes of a line; odd, so that lines end anywhere in a page */
	MANY = 20 * 1000,   /* lines, more than any destination takes at once */
	TOLD = 1000 * 1000, /* the number of a line that tells a loss */
	STEP = 1500,        /* bytes that a slow reader reads at a time */
	TORN_LIMIT = 3 * LINE + 40,
	NOBODY = 65534
};

static char dir[SCRATCH_PATH_SIZE];

static int
setup(void **state)
{
	(void)state;
	scratch_create(dir);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static const char *
path_of(const char *name)
{
	static char path[SCRATCH_PATH_SIZE + 16];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* Line number n: its number, and dots up to its end. */
static const char *
line_of(unsigned n)
{
	static char line[LINE];

	memset(line, '.', sizeof line);
	line[snprintf(line, sizeof line, "%07u", n)] = ' ';
	line[LINE - 1] = '\n';
	return line;
}

static bool
put(struct logsink *s, unsigned n)
{
	return logsink_put(s, line_of(n), LINE);
}

/* Puts lines from number n on until one is lost. Returns its number. */
static unsigned
put_until_lost(struct logsink *s, unsigned n)
{
	while (n < MANY && put(s, n))
		n++;
	return n;
}

/* The bytes that a reader has read so far. */
static char read_bytes[(MANY + 1) * LINE];
static size_t read_size;

/* Reads up to size bytes, without waiting. False when nothing was there. */
static bool
read_some(int fd, size_t size)
{
	ssize_t n;

	if (size > sizeof read_bytes - read_size)
		size = sizeof read_bytes - read_size;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = read(fd, read_bytes + read_size, size);
	if (n > 0)
		read_size += (size_t)n;
	return n > 0;
}

/* True when the bytes from line i on are whole lines of these numbers. */
static bool
has_lines(size_t i, unsigned from, unsigned to)
{
	for (; from < to; from++, i++)
		if ((i + 1) * LINE > read_size ||
		    memcmp(read_bytes + i * LINE, line_of(from), LINE) != 0)
			return false;
	return true;
}

/* Reads all that comes while the sink writes on. */
static void
drain(struct logsink *s, int reader)
{
	do
		logsink_flush(s);
	while (read_some(reader, STEP));
}

/* The slow reader of a destination: all lines come, but those that are told as lost. */
static void
fill_and_drain(struct logsink *s, const struct outlet *o)
{
	unsigned lost, later;

	read_size = 0;
	lost = put_until_lost(s, 0);
	assert_in_range(lost, LOGSINK_QUEUE_SIZE / LINE, MANY - 1);
	assert_true(logsink_has_pending(s));
	/* The next ones are lost until half of the queue is free, with no gaps in between. */
	for (later = lost + 1; !logsink_may_tell(s) && later < MANY; later++) {
		assert_false(put(s, later));
		assert_true(read_some(o->reader, STEP));
		logsink_flush(s);
	}
	/* A terminal has buffers of its own, between which the kernel moves bytes when it likes. */
	if (!isatty(o->writer))
		assert_true(later > lost + LOGSINK_QUEUE_SIZE / 2 / STEP);
	assert_int_equal(s->untold, later - lost);
	logsink_tell(s, line_of(TOLD), LINE);
	assert_int_equal(s->untold, 0);
	assert_int_equal(s->lost, later - lost);
	assert_true(put(s, later));
	assert_true(put(s, later + 1));
	drain(s, o->reader);
	assert_false(logsink_has_pending(s));
	assert_int_equal(read_size, (lost + 3) * LINE);
	assert_true(has_lines(0, 0, lost));
	assert_true(has_lines(lost, TOLD, TOLD + 1));
	assert_true(has_lines(lost + 1, later, later + 2));
	/* What comes now is written at once. */
	assert_true(put(s, later + 2));
	assert_true(read_some(o->reader, sizeof read_bytes));
	assert_true(has_lines(lost + 3, later + 2, later + 3));
}

/* Twice, with an inherited descriptor that stays as it is. */
static void
serve(void (*make)(struct outlet *), enum logsink_method method)
{
	struct logsink s = { 0 };
	struct outlet o;
	int flags;

	make(&o);
	flags = fcntl(o.writer, F_GETFL);
	if (method == LOGSINK_POLL)
		s = (struct logsink){ .fd = o.writer, .method = LOGSINK_POLL };
	else
		logsink_use(&s, o.writer);
	assert_int_equal(s.method, method);
	fill_and_drain(&s, &o);
	s.lost = 0;
	fill_and_drain(&s, &o);
	assert_int_equal(fcntl(o.writer, F_GETFL), flags);
	logsink_close(&s);
	assert_int_equal(fcntl(o.writer, F_GETFL), flags);
	close(o.writer);
	assert_false(read_some(o.reader, 1)); /* the sink has closed its own */
	close(o.reader);
}

static void
a_full_pipe_loses_what_does_not_fit(void **state)
{
	(void)state;
	serve(outlet_make_pipe, LOGSINK_WRITE);
}

static void
a_full_socket_loses_what_does_not_fit(void **state)
{
	(void)state;
	serve(outlet_make_socket, LOGSINK_SEND);
}

static void
a_full_terminal_loses_what_does_not_fit(void **state)
{
	(void)state;
	serve(outlet_make_terminal, LOGSINK_WRITE);
}

static void
a_full_pipe_that_is_polled_loses_what_does_not_fit(void **state)
{
	(void)state;
	serve(outlet_make_pipe, LOGSINK_POLL);
}

/* In a child, without root's rights. */
static int
open_forbidden(void)
{
	struct logsink s = { 0 };
	int ends[2];

	EXPECT(pipe2(ends, O_CLOEXEC) == 0);
	EXPECT(fchmod(ends[1], 0) == 0);
	EXPECT(geteuid() != 0 || seteuid(NOBODY) == 0);
	logsink_use(&s, ends[1]);
	EXPECT(s.method == LOGSINK_POLL && s.fd == ends[1] && !s.is_owner);
	EXPECT(put_until_lost(&s, 0) > LOGSINK_QUEUE_SIZE / LINE);
	logsink_close(&s);
	EXPECT(fcntl(ends[1], F_GETFD) >= 0);
	return 0;
}

static void
a_pipe_that_cannot_be_opened_again_is_polled(void **state)
{
	(void)state;
	body_run(open_forbidden);
}

static void
a_file_that_others_write_too_is_written_where_they_stopped(void **state)
{
	struct logsink s = { 0 };
	int fd;

	(void)state;
	fd = open(path_of("shared"), O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line_of(0), LINE), LINE);
	logsink_use(&s, fd);
	assert_true(put(&s, 1));
	assert_int_equal(write(fd, line_of(2), LINE), LINE);
	assert_true(put(&s, 3));
	read_size = 0;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while (read_some(fd, sizeof read_bytes))
		;
	assert_int_equal(read_size, 4 * LINE);
	assert_true(has_lines(0, 0, 4));
	logsink_close(&s);
	close(fd);
}

static void
a_reader_that_is_gone_and_comes_back_gets_all_that_fitted(void **state)
{
	struct logsink s = { 0 };
	unsigned lost;
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(logsink_open(&s, path_of("fifo")), -ENXIO);
	assert_int_equal(s.method, LOGSINK_DISCARD);
	reader = open(path_of("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(logsink_open(&s, path_of("fifo")), 0);
	close(reader);
	assert_true(put(&s, 0));
	assert_int_equal(s.error, EPIPE);
	assert_false(logsink_has_pending(&s)); /* nothing tells when to try again */
	lost = put_until_lost(&s, 1);
	assert_int_equal(lost, LOGSINK_QUEUE_SIZE / LINE);
	assert_false(logsink_may_tell(&s));
	reader = open(path_of("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	read_size = 0;
	assert_true(logsink_may_tell(&s));
	logsink_tell(&s, line_of(TOLD), LINE);
	drain(&s, reader);
	assert_int_equal(s.lost, 1);
	assert_int_equal(read_size, (lost + 1) * LINE);
	assert_true(has_lines(0, 0, lost) && has_lines(lost, TOLD, TOLD + 1));
	logsink_close(&s);
	close(reader);
}

/* Files may have so many bytes, and no signal says so. */
static int
limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	EXPECT(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = size;
	EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	return 0;
}

static int
read_file(const char *name)
{
	int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);

	read_size = 0;
	EXPECT(fd >= 0);
	while (read_some(fd, sizeof read_bytes))
		;
	close(fd);
	return 0;
}

/* In a child: puts six lines, of which the file takes three and a part. */
static int
tear(struct logsink *s, const char *name)
{
	unsigned n;

	EXPECT(limit_files(TORN_LIMIT) == 0);
	EXPECT(logsink_open(s, path_of(name)) == 0);
	for (n = 0; n < 6; n++)
		EXPECT(put(s, n));
	EXPECT(s->is_torn && logsink_has_pending(s));
	logsink_flush(s);
	EXPECT(s->error == EFBIG && s->is_torn && !logsink_has_pending(s));
	EXPECT(read_file(name) == 0 && read_size == TORN_LIMIT);
	EXPECT(limit_files(RLIM_INFINITY) == 0);
	return 0;
}

static int
complete_torn_line(void)
{
	struct logsink s = { 0 };

	EXPECT(tear(&s, "torn") == 0);
	EXPECT(put(&s, 6));
	EXPECT(!s.is_torn && s.lost == 0 && buf_size(&s.queue) == 0);
	EXPECT(read_file("torn") == 0 && read_size == 7 * LINE && has_lines(0, 0, 7));
	logsink_close(&s);
	return 0;
}

static int
move_torn_line(void)
{
	struct logsink s = { 0 };

	EXPECT(tear(&s, "old") == 0);
	EXPECT(logsink_open(&s, path_of("new")) == 0);
	EXPECT(s.lost == 1 && s.untold == 1 && logsink_may_tell(&s));
	logsink_tell(&s, line_of(TOLD), LINE);
	logsink_flush(&s);
	EXPECT(put(&s, 6));
	EXPECT(read_file("new") == 0 && read_size == 4 * LINE);
	EXPECT(has_lines(0, 4, 6) && has_lines(2, TOLD, TOLD + 1) && has_lines(3, 6, 7));
	EXPECT(read_file("old") == 0 && read_size == TORN_LIMIT);
	logsink_close(&s);
	return 0;
}

static void
a_torn_line_is_completed_before_another_begins(void **state)
{
	(void)state;
	body_run(complete_torn_line);
}

static void
the_rest_of_a_torn_line_does_not_move_to_another_file(void **state)
{
	(void)state;
	body_run(move_torn_line);
}

static void
a_closed_sink_discards(void **state)
{
	struct logsink s = { 0 };

	(void)state;
	assert_int_equal(put_until_lost(&s, 0), MANY);
	logsink_close(&s);
	assert_int_equal(put_until_lost(&s, 0), MANY);
	assert_false(logsink_has_pending(&s));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_pipe_loses_what_does_not_fit),
		cmocka_unit_test(a_full_socket_loses_what_does_not_fit),
		cmocka_unit_test(a_full_terminal_loses_what_does_not_fit),
		cmocka_unit_test(a_full_pipe_that_is_polled_loses_what_does_not_fit),
		cmocka_unit_test(a_pipe_that_cannot_be_opened_again_is_polled),
		cmocka_unit_test(a_file_that_others_write_too_is_written_where_they_stopped),
		cmocka_unit_test(a_reader_that_is_gone_and_comes_back_gets_all_that_fitted),
		cmocka_unit_test(a_torn_line_is_completed_before_another_begins),
		cmocka_unit_test(the_rest_of_a_torn_line_does_not_move_to_another_file),
		cmocka_unit_test(a_closed_sink_discards),
	};

	return cmocka_run_group_tests_name("logsink", tests, setup, teardown);
}
