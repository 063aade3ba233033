/*
 * Blocks that are written to the host: the file gets the blocks and nothing else, in every way of
 * writing, whatever the host or the program does meanwhile (DESIGN 2).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/host/hostfile.h"
#include "common/host/hostwriter.h"
#include "tests/stress/child.h"
#include "tests/stress/scratch.h"

enum { PLACES = 240, FILE_SIZE = PLACES * SIZE_BLOCK, MANY = 20 };

/* Faults of a library OS or limits of a system. */
static struct {
	bool is_mapping_private, has_no_mapping, has_no_pipe, has_no_vmsplice;
	unsigned pwrites, readvs, maps; /* maps: shared ones of files */
	int ends[2];                    /* of the library's pipe */
} fake;

void *fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap");
ssize_t fake_pwrite(int fd, const void *bytes, size_t size, off_t offset) __asm__("pwrite");
ssize_t fake_readv(int fd, const struct iovec *places, int count) __asm__("readv");
int fake_pipe2(int ends[2], int flags) __asm__("pipe2");
ssize_t fake_vmsplice(int fd, const struct iovec *blocks, size_t count, unsigned flags) __asm__(
    "vmsplice");

void *
fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (fd >= 0 && fake.has_no_mapping) {
		errno = ENODEV;
		return MAP_FAILED;
	}
	fake.maps += fd >= 0 && (flags & MAP_SHARED) != 0;
	if (fd >= 0 && fake.is_mapping_private)
		flags = (flags & ~MAP_SHARED) | MAP_PRIVATE;
	return (void *)syscall(SYS_mmap, hint, size, prot, flags, fd, offset);
}

ssize_t
fake_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	fake.pwrites++;
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t
fake_readv(int fd, const struct iovec *places, int count)
{
	fake.readvs++;
	return syscall(SYS_readv, fd, places, count);
}

int
fake_pipe2(int ends[2], int flags)
{
	if (fake.has_no_pipe) {
		errno = EMFILE;
		return -1;
	}
	if (syscall(SYS_pipe2, ends, flags) != 0)
		return -1;
	if ((flags & O_CLOEXEC) != 0)
		memcpy(fake.ends, ends, sizeof fake.ends);
	return 0;
}

ssize_t
fake_vmsplice(int fd, const struct iovec *blocks, size_t count, unsigned flags)
{
	if (fake.has_no_vmsplice) {
		errno = ENOSYS;
		return -1;
	}
	return syscall(SYS_vmsplice, fd, blocks, count, flags);
}

static char dir[SCRATCH_PATH_SIZE];
static int directory = -1;
static struct hostfile file;
static struct hostwriter writer;
static uint8_t expected[FILE_SIZE], seen[FILE_SIZE]; /* the expected and the actual file */
static unsigned seed;

static void
open_all(void)
{
	directory = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(directory, -1);
	assert_int_equal(hostfile_create(&file, directory, "f", FILE_SIZE), 0);
	assert_int_equal(hostwriter_init(&writer, &file, FILE_SIZE), 0);
	memset(expected, 0, sizeof expected);
}

static void
close_all(void)
{
	hostwriter_fini(&writer);
	hostfile_close(&file);
	(void)close(directory);
}

static int
begin(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof fake);
	seed = 1;
	scratch_create(dir);
	open_all();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof fake);
	close_all();
	scratch_remove(dir);
	return 0;
}

/* Puts size random bytes at that place, in the writer and in the expected file. */
static int
put(unsigned place, uint32_t size)
{
	uint8_t *room = hostwriter_room(&writer);
	uint32_t i;

	for (i = 0; i < size; i++)
		room[i] = (uint8_t)rand_r(&seed);
	memcpy(expected + (size_t)place * SIZE_BLOCK, room, size);
	return hostwriter_put(&writer, (uint64_t)place * SIZE_BLOCK, size);
}

/* Puts that many blocks, each at a place of its own, adjacent or not; the last one is short. */
static int
put_many(unsigned count)
{
	unsigned first = (unsigned)rand_r(&seed) % PLACES, i;
	int error = 0;

	hostwriter_begin(&writer);
	for (i = 0; i < count && error == 0; i++)
		error = put((first + i * 7) % PLACES,
		    i + 1 < count ? SIZE_BLOCK : 1 + (uint32_t)rand_r(&seed) % SIZE_BLOCK);
	return error != 0 ? error : hostwriter_flush(&writer);
}

static bool
is_as_expected(void)
{
	return hostfile_read(&file, 0, seen, sizeof seen) == 0 &&
	    memcmp(seen, expected, sizeof seen) == 0;
}

static void
flushed_blocks_are_in_the_file(void **state)
{
	unsigned count;

	(void)state;
	for (count = 1; count <= 200; count++) {
		assert_int_equal(put_many(count), 0);
		if (!is_as_expected())
			fail_msg("%u blocks: the file is not what was put", count);
	}
	/* Few blocks are written one by one, many are not. */
	assert_true(fake.readvs >= 190);
	assert_in_range(fake.pwrites, 1, 200);
}

static void
without_a_shared_mapping_they_are_in_the_file_too(void **state)
{
	unsigned count, way;

	(void)state;
	for (way = 0; way < 3; way++) {
		close_all();
		fake.is_mapping_private = way == 0;
		fake.has_no_mapping = way == 1;
		fake.has_no_pipe = way == 2;
		scratch_remove(dir);
		scratch_create(dir);
		open_all();
		for (count = 1; count <= 80; count++) {
			assert_int_equal(put_many(count), 0);
			assert_true(is_as_expected());
		}
		fake.is_mapping_private = fake.has_no_mapping = fake.has_no_pipe = false;
	}
	/* The first private mapping showed; no other was tried. */
	assert_int_equal(fake.readvs, 1);
}

/*
 * A library OS without vmsplice maps private copies, and writes them back, outdated, when they are
 * unmapped.
 */
static void
without_vmsplice_nothing_is_mapped(void **state)
{
	unsigned count;

	(void)state;
	close_all();
	scratch_remove(dir);
	scratch_create(dir);
	open_all();
	fake.has_no_vmsplice = true;
	fake.maps = 0;
	for (count = 1; count <= 80; count++) {
		assert_int_equal(put_many(count), 0);
		assert_true(is_as_expected());
	}
	assert_int_equal(fake.maps, 0);
	fake.has_no_vmsplice = false;
}

static void
blocks_that_were_not_flushed_are_dropped(void **state)
{
	(void)state;
	assert_int_equal(put_many(MANY), 0);
	hostwriter_begin(&writer);
	memset(hostwriter_room(&writer), 0xee, SIZE_BLOCK);
	assert_int_equal(hostwriter_put(&writer, 0, SIZE_BLOCK), 0);
	hostwriter_begin(&writer);
	assert_int_equal(hostwriter_flush(&writer), 0);
	assert_true(is_as_expected());
	assert_int_equal(put_many(MANY), 0);
	assert_true(is_as_expected());
}

/* Parent and child write in turn, each with a pipe of its own. */
static void
after_a_fork_both_write(void **state)
{
	pid_t pid;
	int i;

	(void)state;
	assert_int_equal(put_many(MANY), 0);
	for (i = 0; i < 3; i++) {
		pid = child_begin();
		if (pid == 0) {
			child_expect(put_many(MANY) == 0 && is_as_expected(), "the child's blocks");
			child_expect(fake.readvs > 0, "as many at a time");
			child_expect(put_many(MANY) == 0 && is_as_expected(), "and once more");
			hostwriter_fini(&writer);
			_exit(EXIT_SUCCESS);
		}
		assert_true(child_has_ended_well(pid));
		assert_int_equal(hostfile_read(&file, 0, expected, sizeof expected), 0);
		assert_int_equal(put_many(MANY), 0);
		assert_true(is_as_expected());
	}
}

/* The missing pages fault; the system call returns an error, and no signal comes. */
static void
file_cut_short_kills_no_process(void **state)
{
	(void)state;
	assert_int_equal(put_many(MANY), 0);
	assert_int_equal(ftruncate(file.descriptor.fd, 5 * SIZE_BLOCK), 0);
	memset(expected + 5 * SIZE_BLOCK, 0, sizeof expected - 5 * SIZE_BLOCK);
	assert_int_equal(put_many(100), 0);
	assert_int_equal(ftruncate(file.descriptor.fd, FILE_SIZE), 0);
	assert_true(is_as_expected());
	/* Later blocks are written, in whatever way. */
	assert_int_equal(put_many(100), 0);
	assert_true(is_as_expected());
}

/* In a child with a disk of its own. */
static void
fill_small_disk(void)
{
	enum { DISK = 64 * SIZE_BLOCK };
	char options[32];
	unsigned i;
	int error = 0;

	snprintf(options, sizeof options, "size=%u", (unsigned)DISK);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, options) != 0)
		_exit(CHILD_SKIPPED);
	close_all();
	open_all();
	hostwriter_begin(&writer);
	for (i = 0; i < 50; i++)
		child_expect(put(i, SIZE_BLOCK) == 0, "what fits is put");
	child_expect(hostwriter_flush(&writer) == 0 && is_as_expected(), "and written");
	hostwriter_begin(&writer);
	for (i = 50; i < 150 && error == 0; i++)
		error = put(i, SIZE_BLOCK);
	if (error == 0)
		error = hostwriter_flush(&writer);
	child_expect(error == -ENOSPC, "what does not fit is an error");
	hostwriter_begin(&writer);
	for (i = 0; i < 50; i++)
		child_expect(put(i, SIZE_BLOCK) == 0, "what has a place is put");
	child_expect(hostwriter_flush(&writer) == 0, "and written");
	child_expect(hostfile_read(&file, 0, seen, 50 * SIZE_BLOCK) == 0 &&
		memcmp(seen, expected, 50 * SIZE_BLOCK) == 0,
	    "and there");
	_exit(EXIT_SUCCESS);
}

static void
full_disk_is_an_error(void **state)
{
	pid_t pid = child_begin();

	(void)state;
	if (pid == 0)
		fill_small_disk();
	child_expect_success_or_skip(pid, "nothing may be mounted here");
}

/* The program closes unknown descriptors, and opens pipes of its own under these numbers. */
static void
nothing_is_written_to_the_programs_pipes(void **state)
{
	enum { OWN = 8 };
	int ends[2], own[2 * OWN], left;
	unsigned i, count;

	(void)state;
	assert_int_equal(put_many(MANY), 0);
	for (count = 0; count < 3; count++) {
		ends[0] = fake.ends[0];
		ends[1] = fake.ends[1];
		/* One end of the pipe, the other, or both. */
		if (count != 1)
			(void)close(ends[0]);
		if (count != 0)
			(void)close(ends[1]);
		for (i = 0; i < OWN; i++)
			assert_int_equal(pipe2(own + 2 * i, O_NONBLOCK), 0);
		assert_int_equal(put_many(MANY), 0);
		assert_true(is_as_expected());
		for (i = 0; i < 2 * OWN; i++) {
			assert_int_equal(ioctl(own[i], FIONREAD, &left), 0);
			assert_int_equal(left, 0);
			assert_int_equal(close(own[i]), 0);
		}
		/* By now the library has a pipe again, or works without. */
		assert_int_equal(put_many(MANY), 0);
		assert_true(is_as_expected());
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(flushed_blocks_are_in_the_file),
		TEST(without_a_shared_mapping_they_are_in_the_file_too),
		TEST(without_vmsplice_nothing_is_mapped),
		TEST(blocks_that_were_not_flushed_are_dropped),
		TEST(after_a_fork_both_write),
		TEST(file_cut_short_kills_no_process),
		TEST(full_disk_is_an_error),
		TEST(nothing_is_written_to_the_programs_pipes),
	};

	return cmocka_run_group_tests_name("hostwriter", tests, NULL, NULL);
}
