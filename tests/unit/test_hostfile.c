/*
 * Files of the host: whatever a host puts in their place, cuts, fills up or replaces is an error
 * and no more; and the way through a mapping, where pread and pwrite do not work, has the same
 * results (DESIGN 2, DESIGN 9).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/host/hostfile.h"
#include "common/host/hostprobe.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"
#include "tests/unit/body.h"

enum { SIZE = 10000, NOBODY = 65534 };

/* Faults of system calls in a library OS or on a failing host. All zeros: no faults. */
static struct {
	int pread_error;   /* pread and pwrite fail with this */
	int pwrite_error;  /* pwrite fails with this */
	bool is_piecemeal; /* at most 7 bytes a call, and EINTR every other time */
	int intruders;     /* before so many preads another process writes */
	bool is_device;    /* fstat calls a regular file a device */
	off_t stale_size;  /* fstat says this instead of a file's size; 0: it tells the truth */
	bool hides_umask;  /* fstat says the mode that a file was to have */
	int mmap_error;    /* mmap fails with this */
	enum libos_mapping mmap_gives;
	bool is_looker_only; /* only every other mapping is so, not the first */
	bool is_replaced;    /* ftruncate fails after another file took the name */
	unsigned calls, maps, preads;
} fake;

ssize_t fake_pread(int fd, void *out, size_t size, off_t offset) __asm__("pread");
ssize_t fake_pwrite(int fd, const void *bytes, size_t size, off_t offset) __asm__("pwrite");
int fake_fstat(int fd, struct stat *st) __asm__("fstat");
int fake_ftruncate(int fd, off_t size) __asm__("ftruncate");
void *fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap");

static bool
is_interrupted(size_t *size)
{
	if (!fake.is_piecemeal)
		return false;
	*size = *size > 7 ? 7 : *size;
	return fake.calls++ % 2 == 0;
}

ssize_t
fake_pread(int fd, void *out, size_t size, off_t offset)
{
	uint64_t other;

	fake.preads++;
	errno = fake.pread_error != 0 ? fake.pread_error : EINTR;
	if (fake.pread_error != 0 || is_interrupted(&size))
		return -1;
	if (fake.intruders > 0 && size == sizeof other) {
		other = 0x5555555500000000u + (unsigned)fake.intruders--;
		if (syscall(SYS_pwrite64, fd, &other, sizeof other, offset) != sizeof other)
			return -1;
	}
	return syscall(SYS_pread64, fd, out, size, offset);
}

ssize_t
fake_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	int error = fake.pread_error != 0 ? fake.pread_error : fake.pwrite_error;

	errno = error != 0 ? error : EINTR;
	if (error != 0 || is_interrupted(&size))
		return -1;
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

int
fake_fstat(int fd, struct stat *st)
{
	int rc = fstatat(fd, "", st, AT_EMPTY_PATH);

	if (rc == 0 && fake.is_device && S_ISREG(st->st_mode))
		st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFCHR;
	if (rc == 0 && fake.hides_umask)
		st->st_mode |= 0660;
	if (rc == 0 && fake.stale_size != 0)
		st->st_size = fake.stale_size;
	return rc;
}

static int dir = -1;
static char path[200];

static void put(const char *name, const char *text);

int
fake_ftruncate(int fd, off_t size)
{
	if (fake.is_replaced) {
		put("other", "foreign");
		(void)renameat(dir, "other", dir, "f");
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_ftruncate, fd, size);
}

void *
fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	int kind = fake.mmap_gives;
	void *p;

	if (fd < 0 || (flags & MAP_TYPE) != MAP_SHARED)
		return (void *)syscall(SYS_mmap, hint, size, prot, flags, fd, offset);
	if (fake.maps++ % 2 == 0 && fake.is_looker_only)
		kind = LIBOS_SHARED;
	if (fake.mmap_error != 0) {
		errno = fake.mmap_error;
		return MAP_FAILED;
	}
	if (kind == LIBOS_COPY) {
		p = (void *)syscall(SYS_mmap, hint, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED && syscall(SYS_pread64, fd, p, size, offset) < 0)
			abort();
		return p;
	}
	if (kind == LIBOS_COPY_ON_WRITE)
		flags = (flags & ~MAP_TYPE) | MAP_PRIVATE;
	return (void *)syscall(SYS_mmap, hint, size, prot, flags, fd, offset);
}

/* Makes a file without hostfile. */
static void
put(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

static int
count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		count++;
	closedir(d);
	return count;
}

static int descriptors;

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	memset(&fake, 0, sizeof fake);
	descriptors = count_descriptors();
	snprintf(path, sizeof path, "%s/hostfile.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(path) == NULL || chmod(path, 0755) != 0)
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "f", "g", "other", "link", "fifo", "socket" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		unlinkat(dir, names[i], 0);
	unlinkat(dir, "d", AT_REMOVEDIR);
	close(dir);
	dir = -1;
	if (rmdir(path) != 0) {
		printf("%s is not empty after the test\n", path);
		return -1;
	}
	if (count_descriptors() != descriptors) {
		printf("%d descriptors, %d were expected\n", count_descriptors(), descriptors);
		return -1;
	}
	return 0;
}

static struct hostfile
create_f(uint64_t size)
{
	struct hostfile h = HOSTFILE_CLOSED;

	assert_int_equal(hostfile_create(&h, dir, "f", size), 0);
	return h;
}

static void
fill(uint8_t *bytes, size_t size, unsigned seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = (uint8_t)((i * 31 + i / 251 + seed) % 253);
}

/* It fails as documented: with the outputs untouched. */
static void
expect_open(const char *name, uint64_t size, int error)
{
	struct hostfile h = HOSTFILE_CLOSED;

	alarm((unsigned)patience_ms(20));
	assert_int_equal(hostfile_open(&h, dir, name, size), error);
	alarm(0);
	assert_int_equal(h.descriptor.fd, -1);
	assert_null(h.untrusted_base);
}

static void
expect_exists(const char *name)
{
	struct hostfile h = HOSTFILE_CLOSED;
	struct stat before, after;

	assert_int_equal(fstatat(dir, name, &before, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(hostfile_create(&h, dir, name, SIZE), -EEXIST);
	assert_int_equal(h.descriptor.fd, -1);
	assert_int_equal(fstatat(dir, name, &after, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_size, before.st_size);
}

static bool
is_there(const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
create_refuses_a_name_that_is_taken(void **state)
{
	(void)state;
	put("f", "mine");
	expect_exists("f");
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	expect_exists("link");
	assert_int_equal(unlinkat(dir, "link", 0), 0);
	assert_int_equal(symlinkat("nowhere", dir, "link"), 0);
	expect_exists("link");
	assert_false(is_there("nowhere"));
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	expect_exists("d");
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	alarm((unsigned)patience_ms(20));
	expect_exists("fifo");
	alarm(0);
}

static void
created_file_is_sparse_zeros_of_mode_0660(void **state)
{
	static const mode_t umasks[] = { 0, 022, 077, 0777 };
	struct hostfile h;
	struct stat st;
	uint8_t bytes[SIZE], zeros[SIZE] = { 0 };
	size_t i;
	mode_t before;

	(void)state;
	for (i = 0; i < sizeof umasks / sizeof umasks[0]; i++) {
		before = umask(umasks[i]);
		h = create_f(SIZE);
		umask(before);
		assert_int_equal(fstat(h.descriptor.fd, &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0660);
		assert_int_equal(st.st_size, SIZE);
		assert_int_equal(st.st_blocks, 0);
		assert_int_equal(fcntl(h.descriptor.fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(hostfile_read(&h, 0, bytes, SIZE), 0);
		assert_memory_equal(bytes, zeros, SIZE);
		hostfile_close(&h);
		assert_int_equal(unlinkat(dir, "f", 0), 0);
	}
}

/* A library OS knows its own umask, and the host's cuts the mode. */
static void
a_mode_that_fstat_does_not_know_is_set(void **state)
{
	mode_t before = umask(022);
	struct hostfile h;
	struct stat st;

	(void)state;
	fake.hides_umask = true;
	h = create_f(SIZE);
	umask(before);
	hostfile_close(&h);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0660);
}

/* The events of the name f, in one mask. */
static uint32_t
read_events(int watch)
{
	char bytes[4096] __attribute__((aligned(8)));
	const struct inotify_event *event;
	ssize_t size = read(watch, bytes, sizeof bytes), at;
	uint32_t mask = 0;

	for (at = 0; at < size; at += (ssize_t)(sizeof *event + event->len)) {
		event = (const void *)(bytes + at);
		if (event->len > 0 && strcmp(event->name, "f") == 0)
			mask |= event->mask;
	}
	return mask;
}

/* True where the system has files without a name that can get one. */
static bool
has_unnamed_files(void)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0600), rc;
	char name[32];

	if (fd < 0)
		return false;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	rc = linkat(AT_FDCWD, name, dir, "probe", AT_SYMLINK_FOLLOW);
	close(fd);
	return rc == 0 && unlinkat(dir, "probe", 0) == 0;
}

/* A process that dies in between would leave a file that others may not open. */
static void
an_empty_file_has_its_mode_before_its_name(void **state)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	mode_t before = umask(077);
	struct hostfile h;
	struct stat st;
	char name[32];

	(void)state;
	if (!has_unnamed_files()) {
		umask(before);
		close(watch);
		print_message("skipped: no files without a name here\n");
		skip();
	}
	snprintf(name, sizeof name, "/proc/self/fd/%d", dir);
	assert_int_not_equal(inotify_add_watch(watch, name, IN_CREATE | IN_ATTRIB), -1);
	assert_int_equal(hostfile_create_empty(&h, dir, "f"), 0);
	umask(before);
	assert_int_equal(read_events(watch), IN_CREATE);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0660);
	hostfile_close(&h);
	assert_int_equal(hostfile_create_empty(&h, dir, "f"), -EEXIST);
	close(watch);
}

static sem_t has_own, may_create;

/* A thread with descriptors of its own. Returns NULL when it has created the file. */
static void *
create_apart(void *h)
{
	bool is_apart = unshare(CLONE_FILES) == 0;

	sem_post(&has_own);
	sem_wait(&may_create);
	return is_apart && hostfile_create_empty(h, dir, "f") == 0 ? NULL : h;
}

/* Its number is that of another file in the main thread, which must not get the name. */
static void
a_thread_with_its_own_descriptors_names_its_own_file(void **state)
{
	struct stat other, st;
	struct hostfile h;
	pthread_t thread;
	int fds[16], i;
	void *failed;

	(void)state;
	sem_init(&has_own, 0, 0);
	sem_init(&may_create, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, create_apart, &h), 0);
	sem_wait(&has_own);
	for (i = 0; i < 16; i++)
		fds[i] = openat(dir, "other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fstat(fds[0], &other), 0);
	sem_post(&may_create);
	pthread_join(thread, &failed);
	for (i = 0; i < 16; i++)
		close(fds[i]);
	assert_null(failed);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_not_equal(st.st_ino, other.st_ino);
	assert_int_equal(st.st_mode, S_IFREG | 0660);
}

static void
empty_file_can_be_created(void **state)
{
	struct hostfile h = create_f(0), g;
	uint8_t byte = 7;

	(void)state;
	assert_int_equal(hostfile_read(&h, 0, &byte, 0), 0);
	assert_int_equal(hostfile_read(&h, 0, &byte, 1), -EIO);
	assert_int_equal(hostfile_open(&g, dir, "f", 0), 0);
	hostfile_close(&g);
	fake.pread_error = ESPIPE;
	assert_int_equal(hostfile_open(&g, dir, "f", 0), 0);
	assert_int_equal(hostfile_read(&g, 0, &byte, 0), 0);
	assert_int_equal(hostfile_write(&g, 0, &byte, 0), 0);
	assert_int_equal(hostfile_read(&g, 0, &byte, 1), -EIO);
	hostfile_close(&g);
	hostfile_close(&h);
	hostfile_close(&h);
}

static int
outgrow_the_limit(void)
{
	struct hostfile h = HOSTFILE_CLOSED;
	struct rlimit limit = { 4096, 4096 };

	signal(SIGXFSZ, SIG_IGN);
	EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	EXPECT(hostfile_create(&h, dir, "f", SIZE) == -EFBIG);
	EXPECT(!is_there("f"));
	EXPECT(hostfile_create(&h, dir, "f", 4096) == 0);
	EXPECT(hostfile_write(&h, 4096, "x", 1) == -EIO);
	return 0;
}

static void
create_that_fails_leaves_nothing(void **state)
{
	struct hostfile h = HOSTFILE_CLOSED;
	int before = count_descriptors();

	(void)state;
	assert_int_equal(hostfile_create(&h, dir, "f", (uint64_t)1 << 63), -EFBIG);
	assert_int_equal(hostfile_create(&h, dir, "f", UINT64_MAX), -EFBIG);
	assert_false(is_there("f"));
	fake.pread_error = EIO;
	assert_int_equal(hostfile_create(&h, dir, "f", SIZE), -EIO);
	assert_false(is_there("f"));
	fake.pread_error = ESPIPE;
	fake.mmap_error = ENOMEM;
	assert_int_equal(hostfile_create(&h, dir, "f", SIZE), -ENOMEM);
	fake.mmap_error = ENODEV;
	assert_int_equal(hostfile_create(&h, dir, "f", SIZE), -EIO);
	assert_false(is_there("f"));
	memset(&fake, 0, sizeof fake);
	assert_int_equal(h.descriptor.fd, -1);
	assert_int_equal(count_descriptors(), before);
	body_run(outgrow_the_limit);
}

static void
create_that_fails_removes_only_what_it_made(void **state)
{
	struct hostfile h = HOSTFILE_CLOSED;
	struct stat st;

	(void)state;
	fake.is_replaced = true;
	assert_int_equal(hostfile_create(&h, dir, "f", SIZE), -ENOSPC);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_size, strlen("foreign"));
}

static void
open_refuses_all_but_regular_files(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, dev;

	(void)state;
	expect_open("f", 4, -ENOENT);
	put("f", "mine");
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	expect_open("link", 4, -ELOOP);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	expect_open("d", 0, -EIO);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	expect_open("fifo", 0, -EIO);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d/socket", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	expect_open("socket", 0, -EIO);
	close(fd);
	fd = dir;
	dev = open("/dev", O_RDONLY | O_DIRECTORY);
	dir = dev;
	expect_open("zero", 4096, -EIO);
	dir = fd;
	close(dev);
}

/* The lease of another descriptor delays an open, by default for 45 seconds. */
static int
open_under_a_lease(void)
{
	struct hostfile h = HOSTFILE_CLOSED;
	int fd = openat(dir, "f", O_RDONLY);

	signal(SIGIO, SIG_IGN);
	EXPECT(fd >= 0);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
		printf("skipped: no leases here: %s\n", strerror(errno));
		fflush(stdout);
		return 0;
	}
	alarm((unsigned)patience_ms(20));
	EXPECT(hostfile_open(&h, dir, "f", 4) == -EAGAIN);
	return 0;
}

static void
open_does_not_wait_for_a_lease(void **state)
{
	(void)state;
	put("f", "mine");
	body_run(open_under_a_lease);
}

static void
open_refuses_a_short_file(void **state)
{
	struct hostfile h;

	(void)state;
	put("f", "12345678");
	expect_open("f", 9, -EIO);
	expect_open("f", UINT64_MAX, -EIO);
	expect_open("f", (uint64_t)1 << 63, -EIO);
	assert_int_equal(hostfile_open(&h, dir, "f", 8), 0);
	hostfile_close(&h);
	assert_int_equal(hostfile_open(&h, dir, "f", 3), 0);
	hostfile_close(&h);
	put("f", "");
	expect_open("f", 1, -EIO);
}

static int
have_no_permission(void)
{
	struct hostfile h = HOSTFILE_CLOSED;

	if (geteuid() == 0)
		EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	EXPECT(hostfile_open(&h, dir, "f", 4) == -EACCES);
	EXPECT(hostfile_create(&h, dir, "g", 4) == -EACCES);
	EXPECT(h.descriptor.fd == -1);
	return 0;
}

static void
without_permission_it_is_EACCES(void **state)
{
	(void)state;
	put("f", "mine");
	assert_int_equal(fchmodat(dir, "f", 0, 0), 0);
	assert_int_equal(chmod(path, 0555), 0);
	body_run(have_no_permission);
	assert_int_equal(chmod(path, 0755), 0);
}

/* Reads and writes of all kinds, with the same results in both ways. */
static int
make_a_round_trip(struct hostfile *h)
{
	static const struct {
		uint64_t offset;
		size_t size;
	} pieces[] = { { 0, 1 }, { 0, SIZE }, { 1, 4096 }, { 4095, 2 }, { 4096, 4096 },
		{ SIZE - 1, 1 }, { SIZE, 0 } };
	uint8_t all[SIZE], out[SIZE + 1], bytes[SIZE];
	size_t i;

	EXPECT(hostfile_read(h, 0, all, SIZE) == 0);
	for (i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		fill(bytes, pieces[i].size, (unsigned)i + 1);
		memcpy(all + pieces[i].offset, bytes, pieces[i].size);
		EXPECT(hostfile_write(h, pieces[i].offset, bytes, pieces[i].size) == 0);
		memset(out, 0, sizeof out);
		EXPECT(hostfile_read(h, pieces[i].offset, out, pieces[i].size) == 0);
		EXPECT(memcmp(out, bytes, pieces[i].size) == 0);
		EXPECT(hostfile_read(h, 0, out, SIZE) == 0);
		EXPECT(memcmp(out, all, SIZE) == 0);
	}
	EXPECT(hostfile_read(h, SIZE, out, 1) == -EIO);
	EXPECT(hostfile_read(h, SIZE - 1, out, 2) == -EIO);
	EXPECT(hostfile_read(h, 0, out, SIZE + 1) == -EIO);
	EXPECT(hostfile_read(h, UINT64_MAX, out, 1) == -EIO);
	EXPECT(hostfile_read(h, UINT64_MAX - 3, out, 8) == -EIO);
	EXPECT(hostfile_write(h, UINT64_MAX - 3, bytes, 8) == -EIO);
	return 0;
}

static void
written_bytes_are_read(void **state)
{
	struct hostfile h = create_f(SIZE), g;
	uint8_t bytes[SIZE], out[SIZE];

	(void)state;
	assert_false(h.is_by_mapping);
	assert_null(h.untrusted_base);
	assert_int_equal(make_a_round_trip(&h), 0);
	fill(bytes, SIZE, 99);
	assert_int_equal(hostfile_write(&h, 0, bytes, SIZE), 0);
	assert_int_equal(hostfile_open(&g, dir, "f", SIZE), 0);
	assert_int_equal(hostfile_read(&g, 0, out, SIZE), 0);
	assert_memory_equal(out, bytes, SIZE);
	hostfile_close(&g);
	hostfile_close(&h);
}

static void
partial_and_interrupted_calls_are_continued(void **state)
{
	struct hostfile h;

	(void)state;
	fake.is_piecemeal = true;
	h = create_f(SIZE);
	assert_false(h.is_by_mapping);
	assert_int_equal(make_a_round_trip(&h), 0);
	assert_true(fake.calls > SIZE / 7);
	hostfile_close(&h);
}

static void
only_a_full_disk_has_an_errno_of_its_own(void **state)
{
	static const int errors[][2] = { { ENOSPC, -ENOSPC }, { EDQUOT, -EDQUOT }, { EIO, -EIO },
		{ EFBIG, -EIO }, { EROFS, -EIO }, { EBADF, -EIO } };
	struct hostfile h = create_f(SIZE);
	size_t i;
	uint8_t byte = 0;

	(void)state;
	for (i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		fake.pwrite_error = errors[i][0];
		assert_int_equal(hostfile_write(&h, 0, "x", 1), errors[i][1]);
		fake.pread_error = errors[i][0];
		assert_int_equal(hostfile_read(&h, 0, &byte, 1), -EIO);
		fake.pread_error = 0;
	}
	hostfile_close(&h);
}

static int
read_what_was_cut(void)
{
	struct hostfile h = HOSTFILE_CLOSED;
	uint8_t out[SIZE];

	EXPECT(hostfile_open(&h, dir, "f", SIZE) == 0);
	/* A file that is mapped for its atomics is still read with pread. */
	EXPECT(hostfile_map(&h, 4096) == 0);
	EXPECT(ftruncate(h.descriptor.fd, 100) == 0);
	EXPECT(hostfile_read(&h, 0, out, SIZE) == -EIO);
	EXPECT(hostfile_read(&h, 100, out, 1) == -EIO);
	EXPECT(hostfile_read(&h, 0, out, 100) == 0);
	EXPECT(ftruncate(h.descriptor.fd, 0) == 0);
	EXPECT(hostfile_read(&h, 0, out, 1) == -EIO);
	hostfile_close(&h);
	return 0;
}

static void
file_cut_after_open_is_EIO_and_no_more(void **state)
{
	struct hostfile h = create_f(SIZE);

	(void)state;
	body_run(read_what_was_cut);
	hostfile_close(&h);
}

static void
errors_choose_the_mapping_or_fail(void **state)
{
	static const int unknown[] = { ENOSYS, EINVAL, ESPIPE, EBADF, EACCES, EPERM, EOPNOTSUPP };
	static const int broken[] = { EIO, ENOMEM, ENXIO, ESTALE, EOVERFLOW, EAGAIN };
	struct hostfile h = create_f(SIZE);
	size_t i;

	(void)state;
	hostfile_close(&h);
	for (i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		fake.pread_error = unknown[i];
		assert_int_equal(hostfile_open(&h, dir, "f", SIZE), 0);
		assert_true(h.is_by_mapping);
		assert_non_null(h.untrusted_base);
		assert_int_equal(h.mapped, SIZE);
		assert_int_equal(make_a_round_trip(&h), 0);
		assert_int_equal(hostfile_write(&h, SIZE, "x", 1), -EIO);
		hostfile_close(&h);
		assert_null(h.untrusted_base);
		expect_open("f", SIZE + 1, -EIO);
		expect_open("f", UINT64_MAX, -EIO);
	}
	for (i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		fake.pread_error = broken[i];
		expect_open("f", SIZE, -EIO);
	}
}

static void
devices_of_a_library_os_are_mapped_and_never_read(void **state)
{
	struct hostfile h;

	(void)state;
	fake.is_device = true;
	h = create_f(SIZE);
	assert_true(h.is_by_mapping);
	assert_int_equal(make_a_round_trip(&h), 0);
	hostfile_close(&h);
	assert_int_equal(hostprobe_check_shared(dir, "f", 4000), 0);
	assert_int_equal(fake.preads, 0);
}

/* They are those that the names had when the process first saw them. */
static void
sizes_of_a_library_oss_devices_are_not_believed(void **state)
{
	struct hostfile h;

	(void)state;
	fake.is_device = true;
	h = create_f(SIZE);
	hostfile_close(&h);
	fake.stale_size = 1;
	assert_int_equal(hostfile_open(&h, dir, "f", SIZE), 0);
	assert_int_equal(make_a_round_trip(&h), 0);
	assert_int_equal(hostfile_map(&h, SIZE), 0);
	hostfile_close(&h);
}

static void
real_devices_are_refused(void **state)
{
	struct hostfile h;
	int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_not_equal(dev, -1);
	assert_int_equal(hostfile_open(&h, dev, "null", 0), -EIO);
	assert_int_equal(hostfile_open(&h, dev, "zero", 0), -EIO);
	close(dev);
}

/* Makes pread and pwrite fail. Returns -1 where there are no such filters. */
static int
forbid_pread(void)
{
	static const int calls[] = { SYS_pread64, SYS_pwrite64 };
	int error = libos_forbid(calls, sizeof calls / sizeof calls[0], ESPIPE);

	if (error != 0) {
		printf("skipped: no seccomp filters here: %s\n", strerror(-error));
		fflush(stdout);
		return -1;
	}
	return 0;
}

static int to_reader[2], to_writer[2];

/* Reads with pread, and replies. */
static int
look_with_pread(void)
{
	uint8_t bytes[SIZE], out[SIZE];
	struct hostfile h;
	char c;

	EXPECT(hostfile_open(&h, dir, "f", SIZE) == 0);
	EXPECT(!h.is_by_mapping);
	close(to_reader[1]);
	if (read(to_reader[0], &c, 1) == 0)
		return 0;
	EXPECT(hostfile_read(&h, 0, out, SIZE) == 0);
	fill(bytes, SIZE, 5);
	EXPECT(memcmp(out, bytes, SIZE) == 0);
	EXPECT(hostfile_write(&h, 4097, "answer", 6) == 0);
	EXPECT(write(to_writer[1], "x", 1) == 1);
	hostfile_close(&h);
	return 0;
}

static int
write_without_pwrite(void)
{
	uint8_t bytes[SIZE], out[6];
	struct hostfile h, g = HOSTFILE_CLOSED;
	char c;

	close(to_writer[1]);
	if (forbid_pread() != 0)
		return 0;
	EXPECT(hostfile_open(&h, dir, "f", SIZE) == 0);
	EXPECT(h.is_by_mapping);
	EXPECT(h.mapped == SIZE);
	EXPECT(make_a_round_trip(&h) == 0);
	fill(bytes, SIZE, 5);
	EXPECT(hostfile_write(&h, 0, bytes, SIZE) == 0);
	/* The mapping stays while the other process reads. */
	EXPECT(write(to_reader[1], "x", 1) == 1);
	EXPECT(read(to_writer[0], &c, 1) == 1);
	EXPECT(hostfile_read(&h, 4097, out, 6) == 0);
	EXPECT(memcmp(out, "answer", 6) == 0);
	hostfile_close(&h);
	EXPECT(hostfile_open(&h, dir, "f", SIZE + 1) == -EIO);
	EXPECT(hostfile_create(&g, dir, "g", 100) == 0);
	EXPECT(g.is_by_mapping);
	EXPECT(hostfile_write(&g, 90, "ten bytes!", 10) == 0);
	EXPECT(hostfile_write(&g, 91, "ten bytes!", 10) == -EIO);
	hostfile_close(&g);
	EXPECT(hostprobe_check_shared(dir, "f", 64) == 0);
	fake.mmap_gives = LIBOS_COPY_ON_WRITE;
	EXPECT(hostprobe_check_shared(dir, "f", 64) == -ENOTSUP);
	return 0;
}

static void
without_pread_other_processes_see_written_bytes(void **state)
{
	struct hostfile h = create_f(SIZE);
	struct body reader, writer;

	(void)state;
	hostfile_close(&h);
	assert_int_equal(pipe(to_reader), 0);
	assert_int_equal(pipe(to_writer), 0);
	body_begin(&writer, write_without_pwrite);
	body_begin(&reader, look_with_pread);
	close(to_reader[0]);
	close(to_reader[1]);
	close(to_writer[0]);
	close(to_writer[1]);
	body_end(&writer);
	body_end(&reader);
}

static void
map_serves_atomics_however_the_file_is_read(void **state)
{
	static const int errors[] = { 0, ENOSYS };
	struct hostfile h = create_f(SIZE);
	uint8_t *base, out[3];
	size_t i;

	(void)state;
	hostfile_close(&h);
	for (i = 0; i < 2; i++) {
		fake.pread_error = errors[i];
		assert_int_equal(hostfile_open(&h, dir, "f", 64), 0);
		assert_int_equal(hostfile_map(&h, SIZE + 1), -EIO);
		fake.mmap_error = ENODEV;
		assert_int_equal(hostfile_map(&h, SIZE), -ENOTSUP);
		fake.mmap_error = ENOMEM;
		assert_int_equal(hostfile_map(&h, SIZE), -ENOMEM);
		fake.mmap_error = 0;
		assert_int_equal(hostfile_map(&h, SIZE), 0);
		assert_int_equal(h.mapped, SIZE);
		base = h.untrusted_base;
		memcpy(base + SIZE - 3, i == 0 ? "abc" : "xyz", 3);
		assert_int_equal(hostfile_read(&h, SIZE - 3, out, 3), 0);
		assert_memory_equal(out, i == 0 ? "abc" : "xyz", 3);
		assert_int_equal(hostfile_map(&h, 64), 0);
		assert_int_equal(hostfile_map(&h, SIZE), 0);
		assert_ptr_equal(h.untrusted_base, base);
		hostfile_close(&h);
	}
	assert_int_equal(hostfile_map(&h, 1), -EIO);
}

static int
fill_the_disk(void)
{
	struct hostfile h = HOSTFILE_CLOSED, g = HOSTFILE_CLOSED;
	static uint8_t bytes[1 << 20];
	int fd;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", path, "tmpfs", 0, "size=64k,nr_inodes=2") != 0) {
		printf("skipped: no private mounts here: %s\n", strerror(errno));
		fflush(stdout);
		return 0;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY);
	EXPECT(fd >= 0);
	EXPECT(hostfile_create(&h, fd, "f", sizeof bytes) == 0);
	EXPECT(hostfile_create(&g, fd, "g", 1) == -ENOSPC);
	EXPECT(faccessat(fd, "g", F_OK, 0) != 0 && errno == ENOENT);
	EXPECT(hostfile_write(&h, 0, bytes, 4096) == 0);
	EXPECT(hostfile_write(&h, 0, bytes, sizeof bytes) == -ENOSPC);
	EXPECT(hostfile_write(&h, sizeof bytes - 1, bytes, 1) == -ENOSPC);
	EXPECT(hostfile_read(&h, 0, bytes, sizeof bytes) == 0);
	hostfile_close(&h);
	EXPECT(mount("none", path, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
	EXPECT(hostfile_create(&g, fd, "g", 1) == -EROFS);
	EXPECT(hostfile_open(&g, fd, "f", 1) == -EROFS);
	return 0;
}

static void
full_disk_is_ENOSPC(void **state)
{
	(void)state;
	body_run(fill_the_disk);
}

static void
replaced_file_is_noticed(void **state)
{
	struct hostfile h = create_f(SIZE), closed = HOSTFILE_CLOSED;

	(void)state;
	assert_true(hostfile_is_at(&h, dir, "f"));
	assert_false(hostfile_is_at(&h, dir, "g"));
	assert_false(hostfile_is_at(&closed, dir, "f"));
	assert_int_equal(linkat(dir, "f", dir, "g", 0), 0);
	assert_true(hostfile_is_at(&h, dir, "g"));
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	assert_false(hostfile_is_at(&h, dir, "link"));
	put("other", "");
	assert_false(hostfile_is_at(&h, dir, "other"));
	assert_int_equal(renameat(dir, "other", dir, "f"), 0);
	assert_false(hostfile_is_at(&h, dir, "f"));
	assert_int_equal(unlinkat(dir, "f", 0), 0);
	assert_false(hostfile_is_at(&h, dir, "f"));
	assert_true(hostfile_is_at(&h, dir, "g"));
	hostfile_close(&h);
}

/* The ways: pread, and two that map. */
static const int ways[] = { 0, ENOSYS, ESPIPE };

static void
probe_finds_shared_memory_and_touches_8_bytes(void **state)
{
	static const uint64_t offsets[] = { 0, 64, 77, 4090, 4096, 8192 + 5, SIZE - 8 };
	struct hostfile h = create_f(SIZE);
	uint8_t bytes[SIZE], out[SIZE];
	size_t i, way;

	(void)state;
	fill(bytes, SIZE, 1);
	for (way = 0; way < 3; way++) {
		for (i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
			assert_int_equal(hostfile_write(&h, 0, bytes, SIZE), 0);
			fake.pread_error = ways[way];
			assert_int_equal(hostprobe_check_shared(dir, "f", offsets[i]), 0);
			fake.pread_error = 0;
			assert_int_equal(hostfile_read(&h, 0, out, SIZE), 0);
			assert_memory_not_equal(out + offsets[i], bytes + offsets[i], 8);
			memcpy(out + offsets[i], bytes + offsets[i], 8);
			assert_memory_equal(out, bytes, SIZE);
		}
	}
	hostfile_close(&h);
}

static void
probe_finds_private_copies(void **state)
{
	struct hostfile h = create_f(SIZE);
	size_t way;

	(void)state;
	hostfile_close(&h);
	for (way = 0; way < 3; way++) {
		fake.pread_error = ways[way];
		fake.mmap_gives = LIBOS_COPY_ON_WRITE;
		assert_int_equal(hostprobe_check_shared(dir, "f", 77), -ENOTSUP);
		fake.mmap_gives = LIBOS_COPY;
		assert_int_equal(hostprobe_check_shared(dir, "f", 4096), -ENOTSUP);
		fake.mmap_gives = LIBOS_SHARED;
		fake.mmap_error = ENODEV;
		assert_int_equal(hostprobe_check_shared(dir, "f", 77), -ENOTSUP);
		fake.mmap_error = ENOMEM;
		assert_int_equal(hostprobe_check_shared(dir, "f", 77), -ENOMEM);
		fake.mmap_error = 0;
		assert_int_equal(hostprobe_check_shared(dir, "f", 77), 0);
	}
	/* A process that reads a copy would wait for its turn for ever. */
	fake.pread_error = ENOSYS;
	fake.is_looker_only = true;
	fake.maps = 0;
	fake.mmap_gives = LIBOS_COPY;
	assert_int_equal(hostprobe_check_shared(dir, "f", 77), -ENOTSUP);
}

static void
probe_of_no_such_file_fails(void **state)
{
	(void)state;
	assert_int_equal(hostprobe_check_shared(dir, "f", 0), -ENOENT);
	put("f", "1234567");
	assert_int_equal(hostprobe_check_shared(dir, "f", 0), -EIO);
	put("f", "12345678");
	assert_int_equal(hostprobe_check_shared(dir, "f", 0), 0);
	assert_int_equal(hostprobe_check_shared(dir, "f", 1), -EIO);
	assert_int_equal(hostprobe_check_shared(dir, "f", UINT64_MAX), -EIO);
	assert_int_equal(hostprobe_check_shared(dir, "f", UINT64_MAX - 7), -EIO);
	assert_int_equal(hostprobe_check_shared(dir, "f", INT64_MAX - 7), -EIO);
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	assert_int_equal(hostprobe_check_shared(dir, "link", 0), -ELOOP);
}

static void
probe_tries_again_when_another_process_overwrites_its_mark(void **state)
{
	struct hostfile h = create_f(SIZE);

	(void)state;
	hostfile_close(&h);
	fake.intruders = 20;
	assert_int_equal(hostprobe_check_shared(dir, "f", 64), 0);
	assert_int_equal(fake.intruders, 0);
	fake.intruders = 1000;
	assert_int_equal(hostprobe_check_shared(dir, "f", 64), -EAGAIN);
}

static int
ask_often(void)
{
	int i;

	for (i = 0; i < 1000; i++) {
		fake.pread_error = ways[i % 2];
		EXPECT(hostprobe_check_shared(dir, "f", 64) == 0);
	}
	return 0;
}

static void
probes_at_the_same_offset_tolerate_each_other(void **state)
{
	struct hostfile h = create_f(SIZE);
	struct body bodies[6];
	int i;

	(void)state;
	hostfile_close(&h);
	for (i = 0; i < 6; i++)
		body_begin(&bodies[i], ask_often);
	for (i = 0; i < 6; i++)
		body_end(&bodies[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_refuses_a_name_that_is_taken),
		TEST(created_file_is_sparse_zeros_of_mode_0660),
		TEST(a_mode_that_fstat_does_not_know_is_set),
		TEST(an_empty_file_has_its_mode_before_its_name),
		TEST(a_thread_with_its_own_descriptors_names_its_own_file),
		TEST(empty_file_can_be_created),
		TEST(create_that_fails_leaves_nothing),
		TEST(create_that_fails_removes_only_what_it_made),
		TEST(open_refuses_all_but_regular_files),
		TEST(open_does_not_wait_for_a_lease),
		TEST(open_refuses_a_short_file),
		TEST(without_permission_it_is_EACCES),
		TEST(written_bytes_are_read),
		TEST(partial_and_interrupted_calls_are_continued),
		TEST(only_a_full_disk_has_an_errno_of_its_own),
		TEST(file_cut_after_open_is_EIO_and_no_more),
		TEST(errors_choose_the_mapping_or_fail),
		TEST(devices_of_a_library_os_are_mapped_and_never_read),
		TEST(sizes_of_a_library_oss_devices_are_not_believed),
		TEST(real_devices_are_refused),
		TEST(without_pread_other_processes_see_written_bytes),
		TEST(map_serves_atomics_however_the_file_is_read),
		TEST(full_disk_is_ENOSPC),
		TEST(replaced_file_is_noticed),
		TEST(probe_finds_shared_memory_and_touches_8_bytes),
		TEST(probe_finds_private_copies),
		TEST(probe_of_no_such_file_fails),
		TEST(probe_tries_again_when_another_process_overwrites_its_mark),
		TEST(probes_at_the_same_offset_tolerate_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
