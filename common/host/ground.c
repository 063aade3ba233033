#include "common/host/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/host/uffd.h"

/* Closes what a probe opened. */
static int
result_of(int fd)
{
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

static int
try_statx(void)
{
	struct statx sx;

	return statx(AT_FDCWD, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &sx) == 0 ?
	    0 :
	    -errno;
}

/* Unlocks what is not locked. */
static int
try_flock(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || flock(fd, LOCK_UN) != 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	return error;
}

/* Asks who has a lock: any answer will do. */
static int
try_kernel_locks(void)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fcntl(fd, F_OFD_GETLK, &l) != 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	return error;
}

/* Watches a page. */
static int
try_userfaultfd(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffd_range *range;
	int error;

	if (page == MAP_FAILED)
		return -errno;
	error = uffd_open(&range, page, size);
	if (error == 0)
		uffd_close(range);
	(void)munmap(page, size);
	return error;
}

static int
try_signalfd(void)
{
	sigset_t none;

	sigemptyset(&none);
	return result_of(signalfd(-1, &none, SFD_CLOEXEC));
}

/* Asks for what is set. */
static int
try_parent_death(void)
{
	int signal;

	return prctl(PR_GET_PDEATHSIG, &signal) == 0 ? 0 : -errno;
}

/* A child writes, and the parent looks. */
static int
try_shared_memory(void)
{
	volatile char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	    0);
	int error = 0;
	pid_t pid;

	if (page == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid == 0) {
		*page = 1;
		_exit(0);
	}
	if (pid < 0)
		error = -errno;
	else
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	if (error == 0 && *page != 1)
		error = -ENOTSUP;
	(void)munmap((void *)page, 1);
	return error;
}

static int (*const probes[GROUND_FACTS])(void) = {
	[GROUND_STATX] = try_statx,
	[GROUND_FLOCK] = try_flock,
	[GROUND_KERNEL_LOCKS] = try_kernel_locks,
	[GROUND_USERFAULTFD] = try_userfaultfd,
	[GROUND_SIGNALFD] = try_signalfd,
	[GROUND_PARENT_DEATH] = try_parent_death,
	[GROUND_SHARED_MEMORY] = try_shared_memory,
};

/* 0: not tried yet; else 1, or more by the errno of the failure. Two threads may both try. */
static atomic_int results[GROUND_FACTS];

int
ground_error(enum ground_fact fact)
{
	int known = atomic_load_explicit(&results[fact], memory_order_relaxed), error;

	if (known != 0)
		return 1 - known;
	error = probes[fact]();
	/* A shortage of descriptors, memory or processes settles nothing. */
	if (error != -EMFILE && error != -ENFILE && error != -ENOMEM && error != -EAGAIN)
		atomic_store_explicit(&results[fact], 1 - error, memory_order_relaxed);
	return error;
}

bool
ground_has(enum ground_fact fact)
{
	return ground_error(fact) == 0;
}
