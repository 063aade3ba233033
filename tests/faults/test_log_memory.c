/*
 * The log without memory: a line that is written whole is not lost, and where only part of one is
 * written, the next line begins a line of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/logsink.h"
#include "common/base/wholefile.h"
#include "tests/faults/faults.h"
#include "tests/stress/scratch.h"
#include "tests/unit/body.h"

#define FIRST "the first line\n"
#define SECOND "the second line\n"
#define TELLS "lines that were lost: 1\n"
#define LAST "the last line\n"

enum { PART = 6, FILE_MOST = 1024 }; /* bytes of SECOND that the file takes */

static char dir[SCRATCH_PATH_SIZE], path[SCRATCH_PATH_SIZE + 16];
static struct faults *faults;

static int
begin(void **state)
{
	(void)state;
	scratch_create(dir);
	(void)snprintf(path, sizeof path, "%s/log", dir);
	return faults_create(&faults);
}

static int
end(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* Files may have so many bytes, and no signal says so. */
static int
limit_files(rlim_t size)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	EXPECT(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = size;
	EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	return 0;
}

static bool
has_log(const char *expected)
{
	char bytes[FILE_MOST];
	size_t size;

	return wholefile_read(path, bytes, sizeof bytes, &size) == 0 && size == strlen(expected) &&
	    memcmp(bytes, expected, size) == 0;
}

/* In a child, which has no memory from now on: writes FIRST, and the beginning of SECOND. */
static int
cut(struct logsink *s)
{
	static const struct faults_kind kind = { .call = FAULTS_MEMORY, .error = ENOMEM };

	(void)remove(path);
	faults_enter(faults);
	faults_plan(faults, &kind, 1, UINT_MAX);
	atomic_store(&faults->is_armed, true);
	EXPECT(limit_files(strlen(FIRST) + PART) == 0);
	EXPECT(logsink_open(s, path) == 0);
	EXPECT(logsink_put(s, FIRST, strlen(FIRST)) && s->lost == 0);
	EXPECT(!logsink_put(s, SECOND, strlen(SECOND)) && s->lost == 1);
	EXPECT(atomic_load(&faults->struck) > 0);
	EXPECT(has_log(FIRST "the se"));
	return 0;
}

static int
write_on(void)
{
	struct logsink s = { 0 };

	EXPECT(cut(&s) == 0);
	/* The disk is full still, then it has room. */
	EXPECT(logsink_may_tell(&s));
	logsink_tell(&s, TELLS, strlen(TELLS));
	EXPECT(s.untold == 1 && has_log(FIRST "the se"));
	EXPECT(limit_files(RLIM_INFINITY) == 0);
	logsink_tell(&s, TELLS, strlen(TELLS));
	EXPECT(s.untold == 0 && logsink_put(&s, LAST, strlen(LAST)));
	EXPECT(has_log(FIRST "the se\n" TELLS LAST));
	logsink_close(&s);
	return 0;
}

static int
queue_on(void)
{
	struct logsink s = { 0 };

	EXPECT(cut(&s) == 0);
	/* There is memory again, but no room on the disk: lines wait. */
	atomic_store(&faults->is_armed, false);
	logsink_tell(&s, TELLS, strlen(TELLS));
	EXPECT(s.untold == 0 && logsink_put(&s, LAST, strlen(LAST)));
	EXPECT(has_log(FIRST "the se"));
	EXPECT(limit_files(RLIM_INFINITY) == 0);
	logsink_flush(&s);
	EXPECT(has_log(FIRST "the se\n" TELLS LAST));
	logsink_close(&s);
	return 0;
}

static int
move_on(void)
{
	struct logsink s = { 0 };

	EXPECT(cut(&s) == 0);
	EXPECT(limit_files(RLIM_INFINITY) == 0);
	(void)remove(path);
	EXPECT(logsink_open(&s, path) == 0);
	logsink_tell(&s, TELLS, strlen(TELLS));
	EXPECT(has_log(TELLS));
	logsink_close(&s);
	return 0;
}

static void
a_line_after_part_of_one_begins_a_line(void **state)
{
	(void)state;
	body_run(write_on);
}

static void
a_line_that_waits_after_part_of_one_begins_a_line(void **state)
{
	(void)state;
	body_run(queue_on);
}

static void
another_file_does_not_begin_with_a_line_break(void **state)
{
	(void)state;
	body_run(move_on);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_after_part_of_one_begins_a_line),
		cmocka_unit_test(a_line_that_waits_after_part_of_one_begins_a_line),
		cmocka_unit_test(another_file_does_not_begin_with_a_line_break),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
