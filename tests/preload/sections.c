/*
 * sections: critical sections as any POSIX program has them, with open(2), mmap(2) and fcntl(2), on
 * a file that may be a memory file or not.
 *
 *	sections fork PATH PROCESSES SECTIONS	children of one process, which inherit all
 *	sections alone PATH SECTIONS		one process; several of them meet at PATH
 *	sections threads PATH THREADS SECTIONS	threads, each with a descriptor and flock(2)
 *	sections mixed PATH THREADS SECTIONS	the same; they open, map and close for each section
 *	sections killed PATH PROCESSES SECTIONS	as fork; beside them others die with the lock
 *	sections hold PATH			says so, and prints the counter when its input ends
 *	sections bench PATH PROCESSES SECTIONS SIZE	as smbench: prints a count and a time
 *
 * They check that what they see under the lock is whole; fork, threads, mixed and killed print the
 * counter at the end, and bench how many sections there were, and how long one took.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 3 * 4096, PROCESSES_MOST = 64 };

/* In the segment: the counter, and far from it the same number again. */
struct shared {
	uint64_t counter;
	char between[2 * 4096];
	uint64_t copy;
	uint64_t scratch; /* of those that die */
};

static const char *path;
static int fd;
static struct shared *shared;

static void
prepare(size_t size)
{
	void *base;

	fd = open(path, O_RDWR | O_CREAT, 0660);
	if (fd == -1)
		err(1, "open %s", path);
	if (ftruncate(fd, (off_t)size) != 0)
		err(1, "ftruncate %s", path);
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap %s", path);
	shared = base;
}

static void
set_lock(int type)
{
	struct flock lock = { .l_type = (short)type, .l_whence = SEEK_SET };

	if (fcntl(fd, F_SETLKW, &lock) != 0)
		err(1, "fcntl %s", path);
}

static void
increment(void)
{
	if (shared->counter != shared->copy)
		errx(1, "%s: half of a section is seen: %ju and %ju", path,
		    (uintmax_t)shared->counter, (uintmax_t)shared->copy);
	shared->counter++;
	shared->copy++;
}

static void
run_sections(long count)
{
	while (count-- > 0) {
		set_lock(F_WRLCK);
		increment();
		set_lock(F_UNLCK);
	}
}

static void
print_counter(void)
{
	set_lock(F_RDLCK);
	printf("%ju\n", (uintmax_t)shared->counter);
	set_lock(F_UNLCK);
}

static pid_t
begin(void (*run)(long), long count)
{
	pid_t child = fork();

	if (child == -1)
		err(1, "fork");
	if (child == 0) {
		run(count);
		_exit(0);
	}
	return child;
}

static void
end(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) == -1 || status != 0)
		errx(1, "%s: a child ended with status 0x%x", path, (unsigned)status);
}

static void
run_fork(void (*run)(long), long processes, long count)
{
	pid_t children[PROCESSES_MOST];
	long i;

	for (i = 0; i < processes; i++)
		children[i] = begin(run, count);
	for (i = 0; i < processes; i++)
		end(children[i]);
}

/* A child locks, writes, tells it, and is killed before it unlocks. */
static void
kill_holder(void)
{
	int ready[2], status;
	pid_t child;
	char byte = 0;

	if (pipe(ready) != 0 || (child = fork()) == -1)
		err(1, "fork");
	if (child == 0) {
		set_lock(F_WRLCK);
		shared->scratch++;
		if (write(ready[1], &byte, 1) != 1)
			err(1, "write");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1 || kill(child, SIGKILL) != 0 ||
	    waitpid(child, &status, 0) == -1 || !WIFSIGNALED(status))
		err(1, "a child that should be killed");
	close(ready[0]);
}

static void
run_killed(long processes, long count)
{
	pid_t children[PROCESSES_MOST];
	long i;

	for (i = 0; i < processes; i++) {
		children[i] = begin(run_sections, count);
		kill_holder();
	}
	for (i = 0; i < processes; i++)
		end(children[i]);
}

static void *
run_thread(void *arg)
{
	long count = *(const long *)arg;
	int own = open(path, O_RDWR);

	if (own == -1)
		err(1, "open %s", path);
	while (count-- > 0) {
		if (flock(own, LOCK_EX) != 0)
			err(1, "flock %s", path);
		increment();
		if (flock(own, LOCK_UN) != 0)
			err(1, "flock %s", path);
	}
	if (close(own) != 0)
		err(1, "close %s", path);
	return NULL;
}

/* flock(2) and F_OFD_SETLKW in turn: one lock of a memory file, two of a plain one. */
static int
lock_description(int own, long turn, bool locks)
{
	struct flock lock = { .l_type = locks ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET };

	if (turn % 2 == 0)
		return flock(own, locks ? LOCK_EX : LOCK_UN);
	return fcntl(own, F_OFD_SETLKW, &lock);
}

/* A section with a descriptor and a mapping of its own. */
static void
run_mixed_section(long turn)
{
	int own = open(path, O_RDWR), copy = dup(own);
	struct flock asked = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	void *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
	struct stat st;

	if (own == -1 || copy == -1 || base == MAP_FAILED || fcntl(own, F_GETLK, &asked) != 0)
		err(1, "open %s", path);
	if (fstat(copy, &st) != 0 || st.st_size != SIZE || lseek(own, 0, SEEK_END) != SIZE)
		err(1, "size of %s", path);
	if (lock_description(copy, turn, true) != 0)
		err(1, "lock %s", path);
	increment();
	if (lock_description(own, turn, false) != 0)
		err(1, "unlock %s", path);
	if (close(own) != 0 || close(copy) != 0 || munmap(base, SIZE) != 0)
		err(1, "close %s", path);
}

static void *
run_mixed(void *arg)
{
	long count = *(const long *)arg;

	while (count-- > 0)
		run_mixed_section(count);
	return NULL;
}

static void
run_threads(void *(*run)(void *), long threads, long count)
{
	pthread_t ids[PROCESSES_MOST];
	long i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, run, &count) != 0)
			errx(1, "pthread_create");
	for (i = 0; i < threads; i++)
		(void)pthread_join(ids[i], NULL);
}

static void
run_hold(void)
{
	puts("open");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t others; /* words of the segment behind the first one */

/* The first word of the segment counts the sections; each adds one to another word in its turn. */
static void
run_bench_sections(long count)
{
	uint64_t *words = (uint64_t *)shared;

	while (count-- > 0) {
		set_lock(F_WRLCK);
		words[1 + words[0]++ % others]++;
		set_lock(F_UNLCK);
	}
}

/* The sections that the other words have counted, each of which had its turns. */
static uint64_t
count_turns(const uint64_t *words)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < others; i++) {
		if (words[1 + i] != words[0] / others + (i < words[0] % others))
			errx(1, "%s: word %zu has counted %ju of %ju sections", path, 1 + i,
			    (uintmax_t)words[1 + i], (uintmax_t)words[0]);
		sum += words[1 + i];
	}
	return sum;
}

static void
run_bench(long processes, long count)
{
	double begun = now(), each;

	run_fork(run_bench_sections, processes, count);
	each = (now() - begun) / (double)(processes * count);
	set_lock(F_RDLCK);
	printf("critical sections: %ju, microseconds each: %.3f\n",
	    (uintmax_t)count_turns((const uint64_t *)shared), each);
	set_lock(F_UNLCK);
}

int
main(int argc, char **argv)
{
	long a = argc > 3 ? atol(argv[3]) : 0, b = argc > 4 ? atol(argv[4]) : 0;
	const char *what = argc > 2 ? argv[1] : "";
	size_t size = argc > 5 ? (size_t)atol(argv[5]) : SIZE;

	if (argc < 3 || a > PROCESSES_MOST * 10000000L || size < sizeof(struct shared))
		errx(2, "usage: sections fork|alone|threads|mixed|killed|hold|bench PATH ...");
	path = argv[2];
	prepare(size);
	others = size / sizeof(uint64_t) - 1;
	if (strcmp(what, "bench") == 0 && a <= PROCESSES_MOST)
		run_bench(a, b);
	else if (strcmp(what, "alone") == 0)
		run_sections(a);
	else if (strcmp(what, "hold") == 0)
		run_hold();
	else if (strcmp(what, "fork") == 0 && a <= PROCESSES_MOST)
		run_fork(run_sections, a, b);
	else if (strcmp(what, "threads") == 0 && a <= PROCESSES_MOST)
		run_threads(run_thread, a, b);
	else if (strcmp(what, "mixed") == 0 && a <= PROCESSES_MOST)
		run_threads(run_mixed, a, b);
	else if (strcmp(what, "killed") == 0 && a <= PROCESSES_MOST)
		run_killed(a, b);
	if (strcmp(what, "bench") != 0 && strcmp(what, "alone") != 0)
		print_counter();
	return 0;
}
