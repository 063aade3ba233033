/*
 * early: a library whose constructor runs before the preloaded library's own. Threads of it use a
 * plain file and that of EARLY at once: all calls are the first ones of this process.
 */
#include "tests/preload/early.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 50, SIZE = 4096 };

static _Atomic int failures;

static void
check(int is_right)
{
	failures += !is_right;
}

static void *
use(void *path)
{
	struct stat st;
	char *base;
	int plain, fd, i;

	for (i = 0; i < ROUNDS; i++) {
		plain = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		check(fcntl(plain, F_GETFD) == FD_CLOEXEC && fstat(plain, &st) == 0);
		base = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, plain, 0);
		check(base != MAP_FAILED && munmap(base, SIZE) == 0 && close(plain) == 0);
	}
	fd = open(path, O_RDWR | O_CREAT, 0660);
	check(fd != -1 && ftruncate(fd, SIZE) == 0);
	base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(base != MAP_FAILED);
	for (i = 0; i < ROUNDS && base != MAP_FAILED; i++) {
		check(flock(fd, LOCK_EX) == 0);
		++*(int *)base;
		check(flock(fd, LOCK_UN) == 0);
	}
	return base;
}

static int *shared;

static void __attribute__((constructor)) start(void)
{
	pthread_t threads[THREADS];
	char *path = getenv("EARLY");
	void *base = NULL;
	int i;

	if (path == NULL)
		return;
	for (i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, use, path) == 0);
	for (i = 0; i < THREADS; i++)
		check(pthread_join(threads[i], &base) == 0);
	shared = base;
}

int
early_failures(void)
{
	return failures;
}

int
early_is_counted(void)
{
	return shared != NULL && *shared == THREADS * ROUNDS;
}
