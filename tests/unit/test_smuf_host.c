/*
 * smuf's files on the host: which of them the server removes, and when; and that mirrors and checks
 * of many files take turns.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loglimit.h"
#include "common/base/size.h"
#include "common/server/process.h"
#include "common/wire/protocol.h"
#include "smuf/hostid.h"
#include "smuf/layout.h"
#include "smuf/mirror.h"
#include "smuf/store.h"
#include "smuf/storefile.h"
#include "tests/stress/scratch.h"
#include "tests/unit/storage.h"

static char dir[SCRATCH_PATH_SIZE];

static int
begin(void **state)
{
	(void)state;
	scratch_create(dir);
	storage_begin(&smuf_store, dir, STORAGE_SEGMENT_MOST);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	assert_true(timer_next(&storage.timers) == CLOCK_NEVER);
	storage_end();
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static const char *
path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static bool
is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static void
put_foreign(const char *name)
{
	int fd = open(path_of(name), O_CREAT | O_EXCL | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
}

/* Fails unless the file has what put_foreign() wrote. Removes it. */
static void
expect_foreign(const char *name)
{
	char text[16] = "";
	int fd = open(path_of(name), O_RDONLY);

	if (fd < 0)
		fail_msg("%s: expected the foreign file, got nothing", name);
	assert_int_equal(read(fd, text, sizeof text), 8);
	assert_memory_equal(text, "precious", 8);
	close(fd);
	assert_int_equal(unlink(path_of(name)), 0);
}

/* Replaces the file by a foreign one, whose inode number may be that of ours. */
static void
replace(const char *name)
{
	assert_int_equal(unlink(path_of(name)), 0);
	put_foreign(name);
}

static void
a_foreign_file_in_the_place_of_ours_stays(void **state)
{
	static const char *const names[] = { "m", "m.segment" };
	struct memfile *f;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		f = storage_get_mapped("/m", PROTOCOL_VERSION_2, SIZE_BLOCK);
		replace(names[i]);
		memfile_put(f);
		storage_tasks();
		assert_false(is_there(names[!i]));
		expect_foreign(names[i]);
	}
}

static void
files_are_removed_in_tasks_and_charged_until_then(void **state)
{
	struct memfile *a = storage_get_mapped("/a", PROTOCOL_VERSION_2, SIZE_BLOCK),
		       *b = storage_get("/b", PROTOCOL_VERSION_1);
	uint64_t *used = storage.account->used;

	(void)state;
	memfile_put(a);
	memfile_put(b);
	assert_int_equal(storage.tree.count, 0);
	assert_int_equal(storage.tree.ending, SIZE_BLOCK);
	assert_true(is_there("a") && is_there("a.segment") && is_there("b"));
	assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_true(!is_there("a") && !is_there("a.segment") && is_there("b"));
	assert_int_equal(used[ACCOUNT_SEGMENTS], 0);
	assert_true(used[ACCOUNT_MEMORY] > 0);
	assert_true(schedule_run(&storage.schedule, &storage_spent));
	assert_false(is_there("b"));
	assert_int_equal(used[ACCOUNT_MEMORY], 0);
}

static void
a_name_is_free_again_at_once(void **state)
{
	struct memfile *f, *other = storage_get("/other", PROTOCOL_VERSION_2);
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++) {
		f = storage_get_mapped("/m", PROTOCOL_VERSION_2, SIZE_BLOCK * (i + 1));
		assert_true(is_there("m.segment"));
		memfile_put(f);
	}
	/* What waits to be removed is not what is there then. */
	f = storage_get("/m", PROTOCOL_VERSION_1);
	memfile_put(other);
	storage_tasks();
	assert_true(is_there("m") && !is_there("m.segment") && !is_there("other"));
	memfile_put(f);
}

/* Freeing the storage of a large file at once would take long. */
static void
a_large_segment_file_goes_in_pieces(void **state)
{
	enum { SIZE = 64 * SIZE_MIB, PIECES = SIZE / HOSTID_CLEAR };
	struct memfile *f = storage_get_mapped("/m", PROTOCOL_VERSION_1, SIZE);
	int fd = open(path_of("m.segment"), O_WRONLY);
	unsigned turns = 0;
	struct stat st;

	(void)state;
	assert_int_equal(posix_fallocate(fd, 0, SIZE), 0);
	assert_int_equal(fstat(fd, &st), 0);
	memfile_put(f);
	while (schedule_run(&storage.schedule, &storage_spent)) {
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, SIZE);
		turns++;
	}
	close(fd);
	assert_false(is_there("m.segment"));
	/* The last piece goes with the name. */
	assert_in_range(turns, PIECES / 2, PIECES + 1);
}

/* An OPEN of the name does not free all of that storage in one go, either. */
static void
a_name_is_free_again_when_its_large_file_is_gone(void **state)
{
	enum { SIZE = 64 * SIZE_MIB, PIECES = SIZE / HOSTID_CLEAR };
	struct memfile *f = storage_get_mapped("/m", PROTOCOL_VERSION_1, SIZE);
	int fd = open(path_of("m.segment"), O_WRONLY), error;
	unsigned calls = 0;

	(void)state;
	assert_int_equal(posix_fallocate(fd, 0, SIZE), 0);
	close(fd);
	memfile_put(f);
	do {
		error = memfile_get(&storage.tree, "/m", 2, PROTOCOL_OPEN_CREATE,
		    PROTOCOL_VERSION_2, storage.account, &f);
		calls++;
	} while (error == -EINPROGRESS);
	assert_int_equal(error, 0);
	assert_in_range(calls, PIECES / 2, PIECES + 1);
	storage_tasks();
	assert_true(is_there("m") && !is_there("m.segment"));
	memfile_put(f);
}

/* A peer that removes the host's files makes few lines of log, however many it removes. */
static void
lost_files_are_few_lines_of_log(void **state)
{
	enum { FILES = 3 * LOGLIMIT_BURST };
	char name[16], log[PATH_MAX], line[1024];
	struct memfile *f;
	int i, lines = 0;
	FILE *in;

	(void)state;
	snprintf(log, sizeof log, "%s", path_of("log"));
	assert_int_equal(log_open("test_smuf_host", log, LOG_LEVEL_WARNING), 0);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "/f%d", i);
		f = storage_get(name, PROTOCOL_VERSION_2);
		assert_int_equal(unlink(path_of(name + 1)), 0);
		assert_int_equal(memfile_map(f, SIZE_BLOCK, STORAGE_SEGMENT_MOST), -EIO);
		memfile_put(f);
	}
	log_close();
	in = fopen(log, "r");
	assert_non_null(in);
	while (fgets(line, sizeof line, in) != NULL)
		lines++;
	fclose(in);
	assert_int_equal(unlink(log), 0);
	assert_int_equal(log_open("test_smuf_host", NULL, LOG_LEVEL_NONE), 0);
	assert_int_equal(lines, LOGLIMIT_BURST);
}

/* The lock of f is taken and given back. */
static void
use_lock(struct memfile *f)
{
	struct claim claim = { 0 };

	assert_int_equal(lockqueue_claim(&f->lock, &claim, PROTOCOL_EXCLUSIVE, false), CLAIM_HELD);
	memfile_lock_changed(f, STORE_EVENT_CLAIMED);
	lockqueue_drop(&f->lock, &claim);
	memfile_lock_changed(f, STORE_EVENT_DROPPED);
}

static uint32_t
ticket_of(const char *name)
{
	uint32_t ticket;
	int fd = open(path_of(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &ticket, sizeof ticket, LAYOUT_TICKET_AT), sizeof ticket);
	close(fd);
	return ticket;
}

enum { MANY = 500 };

static struct memfile *many[MANY];

static void
get_many(enum protocol_version version)
{
	char name[16];
	unsigned i;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "/%u", i);
		many[i] = storage_get(name, version);
	}
}

static void
put_many(void)
{
	unsigned i;

	for (i = 0; i < MANY; i++)
		memfile_put(many[i]);
}

/* The timers below t. */
static unsigned
count_below(const struct timer *t)
{
	return t == NULL ? 0 : 1 + count_below(RB_LEFT(t, link)) + count_below(RB_RIGHT(t, link));
}

static unsigned
count_timers(void)
{
	return count_below(RB_ROOT(&storage.timers.tree));
}

static void
mirrors_of_many_files_are_written_one_after_the_other(void **state)
{
	char name[16];
	unsigned i;

	(void)state;
	get_many(PROTOCOL_VERSION_2);
	for (i = 0; i < MANY; i++)
		use_lock(many[i]);
	assert_int_equal(count_timers(), 1);
	storage.now = clock_after_ms(storage.now, MIRROR_MS);
	timer_run(&storage.timers, storage.now, &BUDGET_UNLIMITED);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%u", i);
		assert_int_equal(ticket_of(name), 0);
		assert_true(schedule_run(&storage.schedule, &storage_spent));
		assert_int_equal(ticket_of(name), 1);
	}
	assert_true(schedule_is_idle(&storage.schedule));
	assert_int_equal(count_timers(), 0);
	/* A file that ends while it waits is no longer visited. */
	use_lock(many[0]);
	use_lock(many[1]);
	put_many();
}

/* Every file has forged tickets: the checks of all are bounded, and go on. */
static void
checks_of_many_forged_files_are_few(void **state)
{
	enum { SECONDS = 10, A_MS_MOST = 10, LEAST = 2 };
	const uint32_t forged[] = { 1000, 500 };
	char name[16];
	unsigned i, checks = 0;
	uint64_t then;
	int fd;

	(void)state;
	get_many(PROTOCOL_VERSION_1);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%u", i);
		fd = open(path_of(name), O_WRONLY);
		assert_int_equal(pwrite(fd, forged, sizeof forged, 0), sizeof forged);
		close(fd);
	}
	storage_pass_ms(SECONDS * 1000);
	then = clock_after_ms(storage.now, SECONDS * 1000);
	while (timer_next(&storage.timers) <= then) {
		storage.now = timer_next(&storage.timers);
		timer_run(&storage.timers, storage.now, &BUDGET_UNLIMITED);
		while (schedule_run(&storage.schedule, &storage_spent))
			checks++;
	}
	assert_in_range(checks, LEAST * SECONDS * 1000, A_MS_MOST * SECONDS * 1000);
	for (i = 0; i < MANY; i++)
		assert_true(storefile_of(many[i])->turn > 0);
	put_many();
}

/* The server's own lack of descriptors says nothing of the host's file. */
static void
a_mirror_without_a_descriptor_is_written_later_and_no_loss(void **state)
{
	struct memfile *f = storage_get("/m", PROTOCOL_VERSION_2);
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	use_lock(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	storage_pass_ms(10 * MIRROR_MS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(storefile_of(f)->is_loss_reported);
	assert_int_equal(ticket_of("m"), 0);
	storage_pass_ms(MIRROR_MS);
	assert_int_equal(ticket_of("m"), 1);
	memfile_put(f);
}

/* In a child: hardening and limits are for ever. Exits with 0 when MMAP is refused with EFBIG. */
static void
map_above_the_file_size_limit(void)
{
	const struct rlimit limit = { SIZE_MIB, SIZE_MIB };
	struct memfile *f = storage_get("/m", PROTOCOL_VERSION_2);
	int r;

	process_harden();
	setrlimit(RLIMIT_FSIZE, &limit);
	r = memfile_map(f, SIZE_MIB, STORAGE_SEGMENT_MOST);
	memfile_put(f);
	storage_tasks();
	_exit(r == -EFBIG && !is_there("m") && !is_there("m.segment") ? 0 : 1);
}

static void
a_file_above_the_file_size_limit_is_an_error_and_no_signal(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		map_above_the_file_size_limit();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("expected an error, got signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_foreign_file_in_the_place_of_ours_stays),
		TEST(files_are_removed_in_tasks_and_charged_until_then),
		TEST(a_name_is_free_again_at_once),
		TEST(a_large_segment_file_goes_in_pieces),
		TEST(a_name_is_free_again_when_its_large_file_is_gone),
		TEST(lost_files_are_few_lines_of_log),
		TEST(mirrors_of_many_files_are_written_one_after_the_other),
		TEST(checks_of_many_forged_files_are_few),
		TEST(a_mirror_without_a_descriptor_is_written_later_and_no_loss),
		TEST(a_file_above_the_file_size_limit_is_an_error_and_no_signal),
	};

	log_open("test_smuf_host", NULL, LOG_LEVEL_NONE);
	return cmocka_run_group_tests_name("smuf host", tests, NULL, NULL);
}
