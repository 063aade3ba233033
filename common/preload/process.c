#include "common/preload/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread int process_depth, process_cancelling;

static atomic_int home;   /* process id; 0: none yet */
static atomic_bool *mark; /* false in copies that have claimed nothing; NULL: not possible here */

void
process_claim(void)
{
	atomic_store(&home, (int)getpid());
	if (mark != NULL)
		atomic_store(mark, true);
}

/* With bare system calls: this may run before all others. */
static void
make_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)0);

	if (page == MAP_FAILED)
		return;
	if (syscall(SYS_madvise, page, size, MADV_WIPEONFORK) == 0)
		mark = page;
	else
		(void)syscall(SYS_munmap, page, size);
}

void
process_begin(void)
{
	make_mark();
	process_claim();
	(void)pthread_atfork(NULL, NULL, process_claim);
}

bool
process_is_original(void)
{
	return mark != NULL ? atomic_load_explicit(mark, memory_order_relaxed) : process_is_home();
}

bool
process_is_home(void)
{
	return atomic_load(&home) == (int)getpid();
}
