/*
 * The host's files of memory files without a server: which files are smc's, which keys open them,
 * errors when they cannot be written, and that there is never more than one of a name (smc/FORMAT
 * 5, smc/FORMAT 6).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "common/crypto/keys.h"
#include "common/host/filename.h"
#include "smc/lockfile.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

#define NAME "file"

enum {
	ROUNDS = 10 * 1000,
	RACERS = 3,
	DISK = 1024 * 1024,
	NOBODY = 65534,
	FOREIGN_MOST = 20000,
	CREATING_MS = 30
};

static struct smc_world world;

static int
begin(void **state)
{
	*state = &world;
	smc_world_create(&world);
	return 0;
}

static void
count_once(struct client *p)
{
	child_expect(sm_lock(p->file) == 0, "sm_lock");
	smc_count(p->segment);
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
}

static void
expect_counter(struct client *p, int64_t value)
{
	assert_int_equal(sm_lock(p->file), 0);
	assert_int_equal(smc_value(p->segment), value);
	assert_int_equal(sm_unlock(p->file), 0);
}

static unsigned
count_files(void)
{
	DIR *d = opendir(world.memory);
	struct dirent *e;
	unsigned count = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		count += e->d_name[0] != '.';
	(void)closedir(d);
	return count;
}

/* A process that inherits nothing joins with that key. Returns 0 or the errno. */
static int
join_elsewhere(const char *key, const char *name, size_t size)
{
	struct client p;
	pid_t pid = child_begin();
	int status, error;

	if (pid == 0) {
		error = smc_join_as(&p, &world, key, name, size);
		if (error == 0)
			count_once(&p);
		client_close(&p);
		_exit(error);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Keys and sizes. */

static void
processes_with_one_key_share_and_leave_nothing_behind(void **state)
{
	struct client p;

	(void)state;
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(count_files(), 2);
	assert_int_equal(join_elsewhere(world.key, NAME, SMC_SEGMENT), 0);
	expect_counter(&p, 1);
	assert_int_equal(join_elsewhere(world.key, NAME, SMC_SEGMENT), 0);
	expect_counter(&p, 2);
	client_close(&p);
	assert_int_equal(count_files(), 0);
}

static void
another_key_is_rejected_and_so_is_none(void **state)
{
	char other[2 * SMC_PATH_SIZE];
	struct client p;

	(void)state;
	snprintf(other, sizeof other, "%s/other", world.dir);
	assert_true(smc_write_file(other, 0x11, KEYS_SIZE));
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(join_elsewhere(other, NAME, SMC_SEGMENT), EKEYREJECTED);
	assert_int_equal(join_elsewhere(NULL, NAME, SMC_SEGMENT), EACCES);
	/* A lock needs no key. */
	assert_int_equal(sm_lock(p.file), 0);
	smc_count(p.segment);
	assert_int_equal(sm_unlock(p.file), 0);
	expect_counter(&p, 1);
	client_close(&p);
}

static void
a_drawn_key_is_inherited_by_fork_only(void **state)
{
	struct client p;
	pid_t pid;

	(void)state;
	/* A child inherits the drawn key. */
	assert_int_equal(smc_join_as(&p, &world, NULL, NAME, SMC_SEGMENT), 0);
	pid = child_begin();
	if (pid == 0) {
		count_once(&p);
		count_once(&p);
		_exit(EXIT_SUCCESS);
	}
	assert_true(child_has_ended_well(pid));
	expect_counter(&p, 2);
	assert_int_equal(join_elsewhere(NULL, NAME, SMC_SEGMENT), EACCES);
	assert_int_equal(join_elsewhere(world.key, NAME, SMC_SEGMENT), EKEYREJECTED);
	client_close(&p);
}

static void
a_key_file_has_32_bytes(void **state)
{
	static const struct {
		size_t size;
		int error;
	} files[] = { { 0, EINVAL }, { 31, EINVAL }, { 33, EINVAL }, { 32, 0 } };
	char path[2 * SMC_PATH_SIZE];
	struct sm *sm;
	size_t i;

	(void)state;
	snprintf(path, sizeof path, "%s/short", world.dir);
	assert_null(smc_mount(&world, path));
	assert_int_equal(errno, ENOENT);
	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		assert_true(smc_write_file(path, 0x22, files[i].size));
		errno = 0;
		sm = smc_mount(&world, path);
		assert_int_equal(sm == NULL ? errno : 0, files[i].error);
		sm_free(sm);
	}
}

static void
a_segment_has_one_size(void **state)
{
	struct client p, q;

	(void)state;
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(join_elsewhere(world.key, NAME, SMC_SEGMENT + 1), EINVAL);
	assert_int_equal(join_elsewhere(world.key, NAME, SMC_SEGMENT - 1), EINVAL);
	assert_int_equal(smc_join(&q, &world, NAME, 0), 0);
	q.segment = sm_map(q.file, NULL, 0);
	assert_non_null(q.segment);
	count_once(&p);
	expect_counter(&q, 1);
	client_close(&q);
	client_close(&p);
}

static void
names_are_one_component_and_not_a_segments(void **state)
{
	char longest[160] = { 0 };
	struct client p;

	(void)state;
	assert_int_equal(smc_join(&p, &world, "a/b", 0), EINVAL);
	assert_int_equal(smc_join(&p, &world, "a.segment", 0), EINVAL);
	assert_int_equal(smc_join(&p, &world, ".segment", 0), EINVAL);
	assert_int_equal(smc_join(&p, &world, "..", 0), EINVAL);
	assert_int_equal(smc_join(&p, &world, "", 0), EISDIR);
	memset(longest, 'n', FILENAME_LIMIT - 1);
	assert_int_equal(smc_join(&p, &world, longest, 0), ENAMETOOLONG);
	longest[FILENAME_LIMIT - 2] = '\0';
	assert_int_equal(smc_join(&p, &world, longest, SMC_SEGMENT), 0);
	client_close(&p);
	assert_int_equal(count_files(), 0);
}

/* Foreign files. */

/* A foreign file, as it was. */
struct foreign {
	uint8_t bytes[FOREIGN_MOST];
	size_t size;
	struct stat st;
};

static void
foreign_put(struct foreign *f, const char *path, uint8_t byte, size_t size)
{
	int fd;

	assert_true(smc_write_file(path, byte, size));
	memset(f->bytes, byte, size);
	f->size = size;
	fd = open(path, O_RDWR);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &f->st), 0);
	(void)close(fd);
}

static void
foreign_expect_untouched(const struct foreign *f, const char *path)
{
	static uint8_t seen[FOREIGN_MOST + 1];
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW);

	if (fd == -1)
		fail_msg("%s: expected the foreign file, got errno %d", path, errno);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, f->st.st_ino);
	assert_int_equal(read(fd, seen, sizeof seen), f->size);
	assert_memory_equal(seen, f->bytes, f->size);
	(void)close(fd);
}

static void
a_foreign_file_is_left_alone(void **state)
{
	static const struct {
		size_t size;
		uint8_t byte;
	} kinds[] = {
		{ 1, 'x' },
		{ 1, 0 },
		{ 4095, 0 },
		{ 4095, 'x' },
		{ 4096, 'x' },
		{ LOCKFILE_SIZE, 'x' },
		{ FOREIGN_MOST, 1 },
	};
	static struct foreign f;
	struct client p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		foreign_put(&f, smc_path(&world, NAME, ""), kinds[i].byte, kinds[i].size);
		assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), EEXIST);
		foreign_expect_untouched(&f, smc_path(&world, NAME, ""));
		assert_int_equal(count_files(), 1);
	}
}

static void
a_lock_file_of_another_format_is_left_alone(void **state)
{
	static struct foreign f;
	struct lockfile_head *head = (struct lockfile_head *)f.bytes;
	struct client p;
	int fd;

	(void)state;
	foreign_put(&f, smc_path(&world, NAME, ""), 0, LOCKFILE_SIZE);
	head->magic = LOCKFILE_MAGIC;
	head->format = LOCKFILE_NO_LOCKS + 1;
	fd = open(smc_path(&world, NAME, ""), O_RDWR);
	assert_int_equal(pwrite(fd, f.bytes, f.size, 0), f.size);
	(void)close(fd);
	assert_int_equal(smc_join(&p, &world, NAME, 0), EEXIST);
	foreign_expect_untouched(&f, smc_path(&world, NAME, ""));
}

static void
other_than_regular_files_are_left_alone(void **state)
{
	static struct foreign f;
	char target[2 * SMC_PATH_SIZE];
	struct client p;
	struct stat st;

	(void)state;
	snprintf(target, sizeof target, "%s/target", world.dir);
	foreign_put(&f, target, 0, 0);
	assert_int_equal(symlink(target, smc_path(&world, NAME, "")), 0);
	assert_int_equal(smc_join(&p, &world, NAME, 0), ELOOP);
	foreign_expect_untouched(&f, target);
	assert_int_equal(unlink(smc_path(&world, NAME, "")), 0);

	assert_int_equal(mkdir(smc_path(&world, NAME, ""), 0700), 0);
	assert_int_equal(smc_join(&p, &world, NAME, 0), EIO);
	assert_int_equal(rmdir(smc_path(&world, NAME, "")), 0);

	assert_int_equal(mkfifo(smc_path(&world, NAME, ""), 0600), 0);
	assert_int_equal(smc_join(&p, &world, NAME, 0), EIO);
	assert_int_equal(lstat(smc_path(&world, NAME, ""), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
}

static void
an_empty_file_counts_as_ours(void **state)
{
	struct client p;

	(void)state;
	assert_true(smc_write_file(smc_path(&world, NAME, ""), 0, 0));
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	count_once(&p);
	expect_counter(&p, 1);
	client_close(&p);
	assert_int_equal(count_files(), 0);
}

static void
a_foreign_segment_file_is_left_alone(void **state)
{
	static struct foreign f;
	struct client p;

	(void)state;
	foreign_put(&f, smc_path(&world, NAME, ".segment"), 'x', 5000);
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), EEXIST);
	foreign_expect_untouched(&f, smc_path(&world, NAME, ".segment"));
	/* The end of a lock without a segment does not remove the file either. */
	assert_int_equal(smc_join(&p, &world, NAME, 0), 0);
	foreign_expect_untouched(&f, smc_path(&world, NAME, ".segment"));
	client_close(&p);
	foreign_expect_untouched(&f, smc_path(&world, NAME, ".segment"));
	assert_int_equal(count_files(), 1);
	assert_int_equal(unlink(smc_path(&world, NAME, ".segment")), 0);
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	client_close(&p);
	assert_int_equal(count_files(), 0);
}

/* Limits of the machine. */

/* Runs body as a child in a mount name space of its own. */
static void
run_apart(void (*body)(void))
{
	pid_t pid = child_begin();

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) != 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
			_exit(CHILD_SKIPPED);
		body();
		_exit(EXIT_SUCCESS);
	}
	child_expect_success_or_skip(pid, "nothing may be mounted here");
}

static void
mount_disk(void)
{
	char options[32];

	snprintf(options, sizeof options, "size=%d", DISK);
	if (mount("none", world.memory, "tmpfs", 0, options) != 0)
		_exit(CHILD_SKIPPED);
}

static const char *
filler(void)
{
	static char path[2 * SMC_PATH_SIZE];

	snprintf(path, sizeof path, "%s/filler", world.memory);
	return path;
}

static void
fill_disk(void)
{
	static const uint8_t bytes[4096];
	int fd = open(filler(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	child_expect(fd >= 0, "the filler");
	while (write(fd, bytes, sizeof bytes) > 0)
		continue;
	child_expect(errno == ENOSPC, "the disk is full");
	(void)close(fd);
}

/* Releases that many blocks without room on the disk, then with room. */
static void
release_without_room(uint32_t blocks)
{
	enum { SEGMENT = 32 * SIZE_BLOCK };
	struct client p, q;
	uint32_t i;

	child_expect(smc_join(&p, &world, NAME, SEGMENT) == 0, "it can be opened");
	child_expect(smc_join(&q, &world, NAME, SEGMENT) == 0, "it can be opened");
	child_expect(sm_lock(p.file) == 0, "sm_lock");
	memset(p.segment, 1, SEGMENT);
	child_expect(sm_unlock(p.file) == 0, "sm_unlock");
	fill_disk();
	for (i = 0; i < 3; i++) {
		child_expect(sm_lock(p.file) == 0, "sm_lock on a full disk");
		child_expect(p.segment[0] == 1 && p.segment[SEGMENT - 1] == 1,
		    "what was published last");
		memset(p.segment, 2, (size_t)blocks * SIZE_BLOCK);
		child_expect(sm_unlock(p.file) != 0 && errno == ENOSPC, "sm_unlock says ENOSPC");
	}
	child_expect(sm_lock(q.file) == 0, "another gets the lock");
	child_expect(q.segment[0] == 1 && q.segment[(size_t)blocks * SIZE_BLOCK - 1] == 1,
	    "and sees what was published last");
	child_expect(sm_unlock(q.file) == 0, "and gives it back");
	child_expect(unlink(filler()) == 0, "room");
	child_expect(sm_lock(p.file) == 0, "sm_lock");
	child_expect(p.segment[0] == 1, "what was published last");
	memset(p.segment, 3, (size_t)blocks * SIZE_BLOCK);
	child_expect(sm_unlock(p.file) == 0, "sm_unlock with room");
	child_expect(sm_lock(q.file) == 0, "sm_lock");
	child_expect(q.segment[0] == 3 && q.segment[(size_t)blocks * SIZE_BLOCK - 1] == 3,
	    "another sees it");
	child_expect(q.segment[SEGMENT - 1] == (blocks == SEGMENT / SIZE_BLOCK ? 3 : 1),
	    "and the rest as it was");
	child_expect(sm_unlock(q.file) == 0, "sm_unlock");
	client_close(&q);
	client_close(&p);
}

static void
few_and_many_without_room(void)
{
	mount_disk();
	release_without_room(1);
	release_without_room(20);
	release_without_room(32);
}

static void
on_a_full_disk_nothing_is_published(void **state)
{
	(void)state;
	run_apart(few_and_many_without_room);
}

static void
open_without_room(void)
{
	struct client p;
	int error;

	mount_disk();
	fill_disk();
	error = smc_join(&p, &world, NAME, SMC_SEGMENT);
	child_expect(error == ENOSPC, "opening says ENOSPC");
	child_expect(unlink(filler()) == 0, "room");
	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened then");
	count_once(&p);
	client_close(&p);
}

static void
on_a_full_disk_nothing_is_opened(void **state)
{
	(void)state;
	run_apart(open_without_room);
}

static void
look_at_read_only(void)
{
	struct client p;

	if (mount(world.memory, world.memory, NULL, MS_BIND, NULL) != 0 ||
	    mount(NULL, world.memory, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
		_exit(CHILD_SKIPPED);
	child_expect(smc_join(&p, &world, "new", 0) == EROFS, "EROFS where nothing can be made");
	child_expect(smc_join(&p, &world, NAME, 0) == EROFS, "EROFS where nothing can be written");
}

static void
a_read_only_directory_is_an_error(void **state)
{
	struct client p;
	pid_t pid;

	(void)state;
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	run_apart(look_at_read_only);
	assert_int_equal(chmod(world.dir, 0755), 0);
	assert_int_equal(chmod(world.memory, 0555), 0);
	assert_int_equal(chmod(world.key, 0444), 0);
	pid = child_begin();
	if (pid == 0) {
		client_close(&p);
		if (geteuid() == 0 && setuid(NOBODY) != 0)
			_exit(EXIT_FAILURE);
		child_expect(smc_join(&p, &world, "new", 0) == EACCES, "EACCES");
		_exit(EXIT_SUCCESS);
	}
	assert_true(child_has_ended_well(pid));
	assert_int_equal(chmod(world.memory, 0700), 0);
	client_close(&p);
}

/* Between its creation and its fchmod(2) a file has the mode that the umask has left it. */
static void
a_file_that_has_no_mode_yet_is_waited_for(void **state)
{
	const char *path = smc_path(&world, "created", "");
	struct client p;
	int ready[2];
	pid_t pid;
	char byte;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(world.dir, 0755), 0);
	assert_int_equal(chmod(world.memory, 0777), 0);
	assert_int_equal(chmod(world.key, 0444), 0);
	assert_true(smc_write_file(path, 0, 0));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(pipe(ready), 0);
	pid = child_begin();
	if (pid == 0) {
		if (setuid(NOBODY) != 0 || write(ready[1], "r", 1) != 1)
			_exit(EXIT_FAILURE);
		child_expect(smc_join(&p, &world, "created", SMC_SEGMENT) == 0,
		    "opened after a wait");
		_exit(EXIT_SUCCESS);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)poll(NULL, 0, CREATING_MS);
	assert_int_equal(chmod(path, 0666), 0);
	assert_true(child_has_ended_well(pid));
	(void)close(ready[0]);
	(void)close(ready[1]);
	assert_int_equal(chmod(world.memory, 0700), 0);
}

static void
a_file_has_room_for_480_processes(void **state)
{
	static struct client parties[PRESENCE_SLOTS];
	struct rlimit files = { .rlim_cur = 2 * PRESENCE_SLOTS + 64 };
	struct client one_more;
	struct rlimit before;
	int i;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	files.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (i = 0; i < PRESENCE_SLOTS; i++)
		assert_int_equal(smc_join(&parties[i], &world, NAME, 0), 0);
	assert_int_equal(smc_join(&one_more, &world, NAME, 0), EUSERS);
	for (i = 0; i < PRESENCE_SLOTS; i++) {
		assert_int_equal(sm_lock(parties[i].file), 0);
		assert_int_equal(sm_trylock(parties[PRESENCE_SLOTS - 1 - i].file), -1);
		assert_int_equal(sm_unlock(parties[i].file), 0);
	}
	client_close(&parties[7]);
	assert_int_equal(smc_join(&one_more, &world, NAME, 0), 0);
	client_close(&one_more);
	for (i = 0; i < PRESENCE_SLOTS; i++)
		client_close(&parties[i]);
	assert_int_equal(count_files(), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
a_life_has_2_to_the_32_releases(void **state)
{
	const uint64_t forged = (UINT64_C(1) << 32) - 1;
	struct client p;
	int fd;

	(void)state;
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	count_once(&p);
	fd = open(smc_path(&world, NAME, ""), O_RDWR);
	assert_int_not_equal(fd, -1);
	assert_int_equal(pwrite(fd, &forged, sizeof forged, offsetof(struct lockfile_head, grants)),
	    sizeof forged);
	assert_int_equal(pwrite(fd, &forged, sizeof forged,
			     offsetof(struct lockfile_head, committed)),
	    sizeof forged);
	(void)close(fd);
	count_once(&p);
	expect_counter(&p, 2);
	assert_int_equal(sm_lock(p.file), 0);
	smc_count(p.segment);
	assert_int_equal(sm_unlock(p.file), -1);
	assert_int_equal(errno, EOVERFLOW);
	expect_counter(&p, 2);
	client_close(&p);
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	count_once(&p);
	expect_counter(&p, 1);
	client_close(&p);
}

/* Lives. */

static void
when_all_are_killed_a_new_life_begins(void **state)
{
	static const char *const steps[] = { "ticketlock: waiting", "commit: entries written",
		"commit: committed", "ticketlock: idle", "lockfile: marked as dead",
		"lockfile: segment removed" };
	struct sm_stat s, last = { 0 };
	struct client p;
	pid_t pid;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		pid = child_begin();
		if (pid == 0) {
			child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "opening");
			count_once(&p);
			testpoint_plan(steps[i], 1, SIGKILL);
			count_once(&p);
			client_close(&p);
			_exit(EXIT_FAILURE);
		}
		assert_true(child_was_killed(pid));
		assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
		expect_counter(&p, 0);
		assert_int_equal(sm_stat(p.file, &s), 0);
		assert_int_not_equal(s.life, last.life);
		assert_int_equal(s.version, 0);
		assert_int_equal(s.open_count, 1);
		last = s;
		count_once(&p);
		expect_counter(&p, 1);
		client_close(&p);
		assert_int_equal(count_files(), 0);
	}
}

/* Makes a process that opens the file, uses it, and waits to be killed. */
static pid_t
begin_user(void (*use)(struct client *))
{
	struct client p;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(smc_join(&p, &world, NAME, 0) == 0, "opening");
		use(&p);
		child_expect(write(ready[1], "r", 1) == 1, "a byte for the parent");
		for (;;)
			pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void
hold(struct client *p)
{
	child_expect(sm_lock(p->file) == 0, "sm_lock");
}

static void
only_open(struct client *p)
{
	(void)p;
}

static void
give_up(struct client *p)
{
	const struct timespec past = { 0 };

	child_expect(sm_timedlock(p->file, &past) == -1 && errno == ETIMEDOUT, "ETIMEDOUT");
}

/* Otherwise the turn of that number, when it comes again, would be skipped under its holder. */
static void
a_ticket_that_a_dead_process_abandoned_ends_with_its_life(void **state)
{
	/* Its slot is not one of those that are claimed again below. */
	static void (*const uses[])(
	    struct client *) = { hold, only_open, only_open, only_open, give_up };
	enum { USERS = sizeof uses / sizeof uses[0] };
	const uint32_t words[] = { 1, 1 }; /* ticket_number and turn */
	struct client p;
	pid_t users[USERS], pid;
	int i, fd;

	(void)state;
	for (i = 0; i < USERS; i++)
		users[i] = begin_user(uses[i]);
	child_kill_all(users, USERS);
	assert_int_equal(smc_join(&p, &world, NAME, 0), 0);
	/* As 2^32 - 1 sections later. */
	fd = open(smc_path(&world, NAME, ""), O_RDWR);
	assert_int_equal(pwrite(fd, words, sizeof words, 0), sizeof words);
	(void)close(fd);
	assert_int_equal(sm_lock(p.file), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(smc_join(&p, &world, NAME, 0) == 0, "opening");
		child_expect(sm_trylock(p.file) == -1 && errno == EAGAIN, "EAGAIN");
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	assert_int_equal(sm_unlock(p.file), 0);
	client_close(&p);
	assert_int_equal(count_files(), 0);
}

static void
change_blocks(struct client *p, unsigned count)
{
	unsigned i;

	child_expect(sm_lock(p->file) == 0, "sm_lock");
	for (i = 0; i < count; i++)
		p->segment[i * SIZE_BLOCK + SIZE_BLOCK / 2]++;
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
}

static void
expect_committed(struct client *p, uint64_t bytes)
{
	struct sm_stat s;

	assert_int_equal(sm_stat(p->file, &s), 0);
	assert_int_equal(s.committed, bytes);
}

/* A block's newest entry is that of either slot, and one of a dead release is none. */
static void
what_a_killed_release_leaves_is_not_counted_as_published(void **state)
{
	enum { BLOCKS = 3, FULL = BLOCKS * SIZE_BLOCK };
	unsigned releases;
	struct client p;
	pid_t pid;

	(void)state;
	for (releases = 1; releases <= 2; releases++) {
		assert_int_equal(smc_join(&p, &world, NAME, 2 * FULL), 0);
		change_blocks(&p, BLOCKS);
		if (releases == 2)
			change_blocks(&p, BLOCKS);
		expect_committed(&p, FULL);
		pid = child_begin();
		if (pid == 0) {
			testpoint_plan("commit: before the store", 1, SIGKILL);
			change_blocks(&p, 2 * BLOCKS - 1);
			_exit(EXIT_FAILURE);
		}
		assert_true(child_was_killed(pid));
		change_blocks(&p, 0);
		expect_committed(&p, FULL);
		change_blocks(&p, 1);
		expect_committed(&p, FULL);
		change_blocks(&p, BLOCKS + 1);
		expect_committed(&p, FULL + SIZE_BLOCK);
		client_close(&p);
	}
}

/* A last close races an open. */

struct race {
	_Atomic uint64_t inodes[RACERS]; /* the file that each has open; 0: none */
	atomic_int holders;
	atomic_uint rounds, lives;
	char padding[64];
};

static void
race(struct race *r, int self)
{
	static atomic_bool never; /* interrupts the wait */
	struct lockfile l;
	int other, error;
	uint64_t seen;
	bool is_new;

	error = lockfile_open(&l, world.memory, NAME, MOUNT_LOCKS_ANY, SM_OPEN_CREATE);
	child_expect(error == 0, "it can be opened");
	atomic_store(&r->inodes[self], l.file.descriptor.inode);
	child_expect(ticketlock_take(&l.lock, CLOCK_NEVER, &never, NULL) == 0, "it can be locked");
	child_expect(atomic_fetch_add(&r->holders, 1) == 0, "there is one holder");
	is_new = atomic_load(&l.untrusted_head->words.turn) == 0;
	for (other = 0; other < RACERS; other++) {
		seen = atomic_load(&r->inodes[other]);
		child_expect(seen == 0 || seen == l.file.descriptor.inode, "there is one file");
	}
	(void)atomic_fetch_add(&r->lives, is_new);
	(void)atomic_fetch_sub(&r->holders, 1);
	child_expect(ticketlock_release(&l.lock) == 0, "the lock was ours");
	atomic_store(&r->inodes[self], 0);
	lockfile_close(&l);
}

static void
a_last_close_and_an_open_never_make_two_files(void **state)
{
	struct race *r = child_share(sizeof *r);
	unsigned rounds = patience_is_sanitized() ? ROUNDS / 10 : ROUNDS;
	pid_t pids[RACERS];
	bool is_well = true;
	int i;

	(void)state;
	for (i = 0; i < RACERS; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0) {
			while (atomic_fetch_add(&r->rounds, 1) < rounds)
				race(r, i);
			_exit(EXIT_SUCCESS);
		}
	}
	for (i = 0; i < RACERS; i++)
		is_well &= child_has_ended_well(pids[i]);
	assert_true(is_well);
	print_message("# %u rounds, %u lives\n", rounds, atomic_load(&r->lives));
	assert_in_range(atomic_load(&r->lives), 2, rounds - 1);
	assert_int_equal(count_files(), 0);
}

static uint32_t
waiters_of(struct client *p)
{
	struct sm_stat s;

	assert_int_equal(sm_stat(p->file, &s), 0);
	return s.waiters;
}

static void
who_gave_up_or_died_does_not_wait(void **state)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct client p, other;
	pid_t pid;

	(void)state;
	assert_int_equal(smc_join(&p, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(sm_lock(p.file), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(smc_join(&other, &world, NAME, SMC_SEGMENT) == 0, "opening");
		child_expect(client_lock_within(&other, 1) == ETIMEDOUT, "giving up");
		client_close(&other);
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	assert_int_equal(waiters_of(&p), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(smc_join(&other, &world, NAME, SMC_SEGMENT) == 0, "opening");
		(void)sm_lock(other.file);
		_exit(EXIT_FAILURE);
	}
	while (waiters_of(&p) != 1 && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(waiters_of(&p), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(child_was_killed(pid));
	assert_int_equal(waiters_of(&p), 0);
	assert_int_equal(sm_unlock(p.file), 0);
	client_close(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, smc_world_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(processes_with_one_key_share_and_leave_nothing_behind),
		TEST(another_key_is_rejected_and_so_is_none),
		TEST(a_drawn_key_is_inherited_by_fork_only),
		TEST(a_key_file_has_32_bytes),
		TEST(a_segment_has_one_size),
		TEST(names_are_one_component_and_not_a_segments),
		TEST(a_foreign_file_is_left_alone),
		TEST(a_lock_file_of_another_format_is_left_alone),
		TEST(other_than_regular_files_are_left_alone),
		TEST(an_empty_file_counts_as_ours),
		TEST(a_foreign_segment_file_is_left_alone),
		TEST(on_a_full_disk_nothing_is_published),
		TEST(on_a_full_disk_nothing_is_opened),
		TEST(a_read_only_directory_is_an_error),
		TEST(a_file_that_has_no_mode_yet_is_waited_for),
		TEST(a_file_has_room_for_480_processes),
		TEST(a_life_has_2_to_the_32_releases),
		TEST(when_all_are_killed_a_new_life_begins),
		TEST(a_ticket_that_a_dead_process_abandoned_ends_with_its_life),
		TEST(what_a_killed_release_leaves_is_not_counted_as_published),
		TEST(a_last_close_and_an_open_never_make_two_files),
		TEST(who_gave_up_or_died_does_not_wait),
	};

	return cmocka_run_group_tests_name("smc files", tests, NULL, NULL);
}
