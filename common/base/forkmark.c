#include "common/base/forkmark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The number of this copy, in a page that fork(2) empties: 0 before the first call in it. NULL: no
 * such pages.
 */
static _Atomic uint64_t *mark;

/* The last number that this process, or one that it is a copy of, has drawn. */
static _Atomic uint64_t last;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
make_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	if (madvise(page, size, MADV_WIPEONFORK) == 0)
		mark = page;
	else
		(void)munmap(page, size);
}

/* Draws a number for this copy. Threads that do so at the same time agree on one. */
static uint64_t
draw(void)
{
	uint64_t mine = atomic_fetch_add(&last, 1) + 1, seen = 0;

	return atomic_compare_exchange_strong(mark, &seen, mine) ? mine : seen;
}

uint64_t
forkmark_get(void)
{
	uint64_t seen;

	(void)pthread_once(&once, make_mark);
	if (mark == NULL)
		return (uint64_t)getpid();
	seen = atomic_load_explicit(mark, memory_order_relaxed);
	return seen != 0 ? seen : draw();
}
