/*
 * traps: what unmodified programs do to their descriptors and signals, on a file that may be a
 * memory file or not. Each prints one line, which is the same on a plain file.
 *
 *	early				what the constructor of early.c met
 *	standard PATH OUT		descriptors 0, 1 and 2 are closed; says it in OUT
 *	closefrom PATH			a child closes all it has, and opens the file again
 *	handlers PATH OTHER ROUNDS	sections beside a handler, which uses OTHER
 *	closer PATH OTHER		a handler closes PATH, locked; the thread waits for OTHER
 *	old PATH			calls of programs built against an older C library
 *	late PATH SECTIONS		forks when its input ends, and counts in the child
 *	daemon PATH			the parent ends at once, the child goes on
 *	refused PATH			read, write, sendfile, ioctl: twice each
 *	ending PATH WAITERS		exit(3) while one thread tries a lock and others wait for it
 */
#include "tests/preload/early.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 4096, TICK_MICROSECONDS = 300 };

static const char *path;

static int
set_lock(int fd, int command, int type)
{
	struct flock lock = { .l_type = (short)type, .l_whence = SEEK_SET };

	return fcntl(fd, command, &lock);
}

static int
open_file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0660);

	if (fd == -1 || ftruncate(fd, SIZE) != 0)
		err(1, "%s", name);
	return fd;
}

static uint64_t *
map_file(int fd)
{
	void *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		err(1, "mmap");
	return base;
}

static void
count(int fd, uint64_t *counter, int sections)
{
	while (sections-- > 0) {
		if (set_lock(fd, F_SETLKW, F_WRLCK) != 0)
			err(1, "lock");
		++*counter;
		if (set_lock(fd, F_SETLKW, F_UNLCK) != 0)
			err(1, "unlock");
	}
}

/* The counter, read under the lock. */
static unsigned long
read_counter(int fd, const uint64_t *counter)
{
	unsigned long n;

	if (set_lock(fd, F_SETLKW, F_RDLCK) != 0)
		err(1, "lock");
	n = (unsigned long)*counter;
	if (set_lock(fd, F_SETLKW, F_UNLCK) != 0)
		err(1, "unlock");
	return n;
}

/* Waits for the child, which has to end well. */
static void
await(pid_t child)
{
	int status;

	if (child == -1 || waitpid(child, &status, 0) != child || status != 0)
		errx(1, "a child failed");
}

static void
use_standard(const char *out)
{
	int fd = open_file(path), text = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int null = open("/dev/null", O_RDWR);
	uint64_t *counter = map_file(fd);

	count(fd, counter, 10);
	dprintf(text, "%d %d %d counted %lu\n", fd, text, null, read_counter(fd, counter));
}

/* In a forked child. */
static void
close_all_and_count(void)
{
	int fd;

	closefrom(STDERR_FILENO + 1);
	fd = open_file(path);
	count(fd, map_file(fd), 10);
	_exit(0);
}

static void
use_closefrom(void)
{
	int fd = open_file(path), i;
	uint64_t *counter = map_file(fd);
	pid_t child;

	count(fd, counter, 10);
	for (i = 0; i < 3; i++) {
		child = fork();
		if (child == 0)
			close_all_and_count();
		await(child);
	}
	count(fd, counter, 10);
	printf("%lu\n", read_counter(fd, counter));
}

static int other;
static volatile sig_atomic_t ticks, plain_failures;

/* POSIX lets a handler call all of these. */
static void
tick(int number)
{
	int saved = errno, fd = open("/dev/null", O_RDWR | O_CLOEXEC), copy = dup(fd);

	(void)number;
	if (fcntl(fd, F_GETFD) != FD_CLOEXEC || fcntl(copy, F_SETFD, FD_CLOEXEC) != 0 ||
	    dup2(fd, copy) != copy || close(copy) != 0 || close(fd) != 0)
		plain_failures++;
	/* Another memory file: what comes of it depends on when. */
	(void)close(dup(other));
	if (set_lock(other, F_SETLK, F_WRLCK) == 0)
		(void)set_lock(other, F_SETLK, F_UNLCK);
	ticks++;
	errno = saved;
}

static void
use_handlers(const char *second, int rounds)
{
	const struct itimerval every = { { 0, TICK_MICROSECONDS }, { 0, TICK_MICROSECONDS } };
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	int fd = open_file(path);
	uint64_t *counter = map_file(fd);

	other = open_file(second);
	if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &every, NULL) != 0)
		err(1, "a timer");
	count(fd, counter, rounds);
	/* However fast that was. */
	while (ticks < 100)
		count(fd, counter, 1), rounds++;
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);
	printf("%ld missing, %d failures\n", (long)rounds - (long)read_counter(fd, counter),
	    (int)plain_failures);
}

static int file;

static void
close_file(int number)
{
	(void)number;
	if (file != -1)
		(void)close(file);
	file = -1;
}

/* A child, which has the lock of fd until it is told to end. */
static pid_t
begin_holder(int fd, int *until)
{
	int ends[2], ready[2];
	pid_t child;
	char byte = 0;

	if (pipe(ends) != 0 || pipe(ready) != 0 || (child = fork()) == -1)
		err(1, "fork");
	if (child == 0) {
		close(ends[1]);
		if (set_lock(fd, F_SETLKW, F_WRLCK) != 0)
			err(1, "lock");
		(void)!write(ready[1], &byte, 1);
		(void)!read(ends[0], &byte, 1);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "the holder failed");
	*until = ends[1];
	return child;
}

static const char *
name_of(int result)
{
	return result == 0 ? "0" : strerrorname_np(errno);
}

/* A child locks the file, which it opens for that. */
static void
try_elsewhere(void)
{
	pid_t child = fork();

	if (child == 0) {
		puts(name_of(set_lock(open_file(path), F_SETLK, F_WRLCK)));
		fflush(stdout);
		_exit(0);
	}
	await(child);
}

/* The close ends the lock, though the thread was in another call. */
static void
use_closer(const char *second)
{
	const struct itimerval often = { { 1, 0 }, { 1, 0 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = close_file };
	pid_t holder;
	int until;

	file = open_file(path);
	other = open_file(second);
	holder = begin_holder(other, &until);
	if (sigaction(SIGALRM, &action, NULL) != 0 || set_lock(file, F_SETLK, F_WRLCK) != 0)
		err(1, "a handler");
	/* Again and again: on a busy machine the first one comes before the wait. */
	setitimer(ITIMER_REAL, &often, NULL);
	printf("%s, elsewhere ", name_of(set_lock(other, F_SETLKW, F_WRLCK)));
	setitimer(ITIMER_REAL, &never, NULL);
	fflush(stdout);
	try_elsewhere();
	close(until);
	await(holder);
}

#ifdef __x86_64__
int old_xstat(int version, const char *name, struct stat *out);
int old_lxstat(int version, const char *name, struct stat *out);
int old_fxstat(int version, int fd, struct stat *out);
int old_fxstatat(int version, int dirfd, const char *name, struct stat *out, int flags);
int old_fcntl(int fd, int command, ...);
__asm__(".symver old_xstat, __xstat@GLIBC_2.2.5");
__asm__(".symver old_lxstat, __lxstat64@GLIBC_2.2.5");
__asm__(".symver old_fxstat, __fxstat@GLIBC_2.2.5");
__asm__(".symver old_fxstatat, __fxstatat64@GLIBC_2.4");
/* fcntl64() came with glibc 2.28. */
__asm__(".symver old_fcntl, fcntl@GLIBC_2.2.5");

static void
use_old(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st[4] = { { .st_size = 0 } };
	int fd = open_file(path);

	if (old_xstat(1, path, &st[0]) != 0 || old_lxstat(1, path, &st[1]) != 0 ||
	    old_fxstat(1, fd, &st[2]) != 0 || old_fxstatat(1, AT_FDCWD, path, &st[3], 0) != 0)
		err(1, "stat");
	printf("%ld %ld %ld %ld %s\n", (long)st[0].st_size, (long)st[1].st_size,
	    (long)st[2].st_size, (long)st[3].st_size, name_of(old_fcntl(fd, F_SETLK, &lock)));
}
#else
static void
use_old(void)
{
	puts("4096 4096 4096 4096 0");
}
#endif

static void
use_late(int sections)
{
	int fd = open_file(path);
	uint64_t *counter = map_file(fd);
	pid_t child;

	count(fd, counter, 10);
	puts("open");
	fflush(stdout);
	(void)getchar();
	child = fork();
	if (child == 0) {
		count(fd, counter, sections);
		_exit(0);
	}
	puts("forked");
	fflush(stdout);
	await(child);
	printf("%lu\n", read_counter(fd, counter));
}

static void
use_daemon(void)
{
	int fd = open_file(path), ends[2];
	uint64_t *counter = map_file(fd);
	char byte;

	count(fd, counter, 10);
	if (pipe(ends) != 0)
		err(1, "pipe");
	if (fork() != 0)
		_exit(0);
	close(ends[1]);
	(void)!read(ends[0], &byte, 1);
	count(fd, counter, 10);
	printf("%lu\n", read_counter(fd, counter));
}

static void
use_refused(void)
{
	int fd = open_file(path), null = open("/dev/null", O_RDWR), i, n;
	char byte = 0;

	for (i = 0; i < 2; i++) {
		printf("%s ", name_of(read(fd, &byte, 1) == -1 ? -1 : 0));
		printf("%s ", name_of(write(fd, &byte, 1) == -1 ? -1 : 0));
		printf("%s ", name_of(sendfile(null, fd, NULL, 1) == -1 ? -1 : 0));
		printf("%s ", name_of(ioctl(fd, FIONREAD, &n)));
	}
	puts("");
}

/* In the child of begin_maker(). */
static void __attribute__((noreturn)) make_and_stay(int begins, int tells, bool locks)
{
	char byte;
	int fd;

	if (read(begins, &byte, 1) != 1)
		_exit(1);
	fd = open_file(path);
	if (locks && set_lock(fd, F_SETLK, F_WRLCK) != 0)
		err(1, "lock");
	(void)!write(tells, "", 1);
	(void)!read(begins, &byte, 1);
	_exit(0);
}

/*
 * Forks a child that gives the file its size when it gets a byte, and locks it; it ends with this
 * process.
 */
static void
begin_maker(bool locks, int *begin, int *told)
{
	int begins[2], tells[2];

	if (pipe(begins) != 0 || pipe(tells) != 0)
		err(1, "pipe");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		close(begins[1]);
		make_and_stay(begins[0], tells[1], locks);
	}
	close(begins[0]);
	close(tells[1]);
	*begin = begins[1];
	*told = tells[0];
}

struct locker {
	int fd, command;
	_Atomic pid_t thread; /* 0: it has not begun */
};

static void *
lock_and_stay(void *arg)
{
	struct locker *l = arg;

	l->thread = (pid_t)syscall(SYS_gettid);
	(void)set_lock(l->fd, l->command, F_WRLCK);
	for (;;)
		pause();
	return NULL;
}

static bool
is_asleep(pid_t thread)
{
	char name[64], text[64] = "";
	int fd;

	snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)thread);
	fd = open(name, O_RDONLY);
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	return strstr(text, ") S ") != NULL;
}

/* Begins a thread that locks, and waits until it waits for something. */
static void
begin_locker(struct locker *l, int fd, int command)
{
	pthread_t id;

	*l = (struct locker){ .fd = fd, .command = command };
	if (pthread_create(&id, NULL, lock_and_stay, l) != 0)
		errx(1, "pthread_create");
	while (l->thread == 0 || !is_asleep(l->thread))
		usleep(1000);
}

enum { LOCKERS_MOST = 8 };

/* The file gets its size only when it is open here: the first lock has to find that out. */
static void
use_ending(int waiters)
{
	static struct locker lockers[1 + LOCKERS_MOST];
	int begin, told, fd, i;
	char byte;

	begin_maker(waiters > 0, &begin, &told);
	fd = open(path, O_RDWR | O_CREAT, 0660);
	if (fd == -1 || write(begin, "", 1) != 1 || read(told, &byte, 1) != 1)
		err(1, "%s", path);
	puts("open");
	fflush(stdout);
	(void)getchar();
	begin_locker(&lockers[0], fd, F_SETLK);
	for (i = 1; i <= waiters && i <= LOCKERS_MOST; i++)
		begin_locker(&lockers[i], fd, F_SETLKW);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	exit(0);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *third = argc > 3 ? argv[3] : "";

	path = argc > 2 ? argv[2] : "";
	if (strcmp(what, "early") == 0)
		printf("%d failures, %s\n", early_failures(),
		    early_is_counted() ? "counted" : "not counted");
	else if (strcmp(what, "standard") == 0)
		use_standard(third);
	else if (strcmp(what, "closefrom") == 0)
		use_closefrom();
	else if (strcmp(what, "handlers") == 0 && argc > 4)
		use_handlers(third, atoi(argv[4]));
	else if (strcmp(what, "closer") == 0)
		use_closer(third);
	else if (strcmp(what, "old") == 0)
		use_old();
	else if (strcmp(what, "late") == 0)
		use_late(atoi(third));
	else if (strcmp(what, "daemon") == 0)
		use_daemon();
	else if (strcmp(what, "refused") == 0)
		use_refused();
	else if (strcmp(what, "ending") == 0)
		use_ending(atoi(third));
	else
		errx(2, "usage: traps WHAT PATH ...");
	return 0;
}
