#include "tests/faults/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>

const struct faults_kind faults_kinds[] = {
	{ "memory ENOMEM", FAULTS_MEMORY, ENOMEM, true, true },
	{ "mmap ENOMEM", FAULTS_MMAP, ENOMEM, false, true },
	{ "mprotect ENOMEM", FAULTS_MPROTECT, ENOMEM, false, true },
	{ "ftruncate ENOSPC", FAULTS_FTRUNCATE, ENOSPC, false, true },
	{ "ftruncate EINTR", FAULTS_FTRUNCATE, EINTR, false, false },
	{ "pwrite ENOSPC", FAULTS_PWRITE, ENOSPC, false, true },
	{ "pwrite EIO", FAULTS_PWRITE, EIO, false, false },
	{ "pwrite EINTR", FAULTS_PWRITE, EINTR, false, false },
	{ "pwrite short", FAULTS_PWRITE, FAULTS_SHORT, false, false },
	{ "pread EIO", FAULTS_PREAD, EIO, false, true },
	{ "openat EMFILE", FAULTS_OPENAT, EMFILE, false, true },
	{ "openat EACCES", FAULTS_OPENAT, EACCES, false, true },
	{ "write ENOSPC", FAULTS_WRITE, ENOSPC, false, true },
	{ "send ECONNRESET", FAULTS_SEND, ECONNRESET, true, false },
	{ "send EAGAIN", FAULTS_SEND, EAGAIN, false, false },
	{ "send EINTR", FAULTS_SEND, EINTR, false, false },
	{ "send short", FAULTS_SEND, FAULTS_SHORT, false, false },
	{ "recv ECONNRESET", FAULTS_RECV, ECONNRESET, true, false },
	{ "recv EINTR", FAULTS_RECV, EINTR, false, false },
	{ "recv short", FAULTS_RECV, FAULTS_SHORT, false, false },
	{ "accept EMFILE", FAULTS_ACCEPT, EMFILE, true, false },
	{ "accept EINTR", FAULTS_ACCEPT, EINTR, false, false },
	{ "epoll_ctl ENOMEM", FAULTS_EPOLL_ADD, ENOMEM, true, false },
	{ "epoll_wait EINTR", FAULTS_EPOLL_WAIT, EINTR, false, false },
	{ "random EIO", FAULTS_RANDOM, EIO, false, true },
};
const unsigned faults_kind_count = sizeof faults_kinds / sizeof faults_kinds[0];

static struct faults *entered; /* in the daemon's process only */
static long blocks, mappings;

int
faults_create(struct faults **out)
{
	void *memory = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*out = memory;
	faults_reset(*out);
	return 0;
}

void
faults_reset(struct faults *f)
{
	unsigned i;

	atomic_store(&f->is_armed, false);
	for (i = 0; i < FAULTS_CALLS; i++)
		atomic_store(&f->counts[i], 0);
	atomic_store(&f->call, -1);
	atomic_store(&f->struck, 0);
	atomic_store(&f->waits, 0);
	atomic_store(&f->clock_offset, 0);
}

void
faults_plan(struct faults *f, const struct faults_kind *kind, unsigned first, unsigned length)
{
	atomic_store(&f->error, kind->error);
	atomic_store(&f->first, first);
	atomic_store(&f->length, length);
	atomic_store(&f->call, (int)kind->call);
}

void
faults_enter(struct faults *f)
{
	blocks = mappings = 0;
	entered = f;
}

long
faults_blocks_left(void)
{
	return blocks;
}

long
faults_mappings_left(void)
{
	return mappings;
}

/* Counts a call. Returns the errno with which it fails, FAULTS_SHORT, or 0. */
static int
strike(enum faults_call call)
{
	unsigned number;

	if (entered == NULL || !atomic_load(&entered->is_armed))
		return 0;
	number = atomic_fetch_add(&entered->counts[call], 1) + 1;
	if (atomic_load(&entered->call) != (int)call || number < atomic_load(&entered->first) ||
	    number - atomic_load(&entered->first) >= atomic_load(&entered->length))
		return 0;
	atomic_fetch_add(&entered->struck, 1);
	return atomic_load(&entered->error);
}

/* The same; true and errno set when the call fails, *size halved when it is short. */
static bool
fails(enum faults_call call, size_t *size)
{
	int error = strike(call);

	if (error == FAULTS_SHORT)
		*size = (*size + 1) / 2;
	else if (error != 0)
		errno = error;
	return error > 0;
}

/* Memory: what is allocated and freed is also counted, for leaks. */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __real_free(void *block);
void __wrap_free(void *block);

static void *
counted(void *block, const void *old)
{
	if (block != NULL && old == NULL)
		blocks++;
	return block;
}

void *
__wrap_malloc(size_t size)
{
	return fails(FAULTS_MEMORY, NULL) ? NULL : counted(__real_malloc(size), NULL);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails(FAULTS_MEMORY, NULL) ? NULL : counted(__real_calloc(count, size), NULL);
}

void *
__wrap_realloc(void *old, size_t size)
{
	/* The old block's address may not be used after the call, not even to compare it. */
	const void *had = old == NULL ? NULL : "";

	return fails(FAULTS_MEMORY, NULL) ? NULL : counted(__real_realloc(old, size), had);
}

void *
__wrap_reallocarray(void *old, size_t count, size_t size)
{
	const void *had = old == NULL ? NULL : "";

	return fails(FAULTS_MEMORY, NULL) ? NULL :
					    counted(__real_reallocarray(old, count, size), had);
}

char *
__wrap_strdup(const char *text)
{
	return fails(FAULTS_MEMORY, NULL) ? NULL : counted(__real_strdup(text), NULL);
}

void
__wrap_free(void *block)
{
	if (block != NULL)
		blocks--;
	__real_free(block);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __real_mprotect(void *at, size_t size, int protection);
int __wrap_mprotect(void *at, size_t size, int protection);

void *
__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *memory;

	if (fails(FAULTS_MMAP, NULL))
		return MAP_FAILED;
	memory = __real_mmap(at, size, protection, flags, fd, offset);
	mappings += memory != MAP_FAILED;
	return memory;
}

int
__wrap_munmap(void *at, size_t size)
{
	mappings--;
	return __real_munmap(at, size);
}

int
__wrap_mprotect(void *at, size_t size, int protection)
{
	return fails(FAULTS_MPROTECT, NULL) ? -1 : __real_mprotect(at, size, protection);
}

/* Files. */

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_pread(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *out, size_t size, off_t offset);
int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int
__wrap_ftruncate(int fd, off_t size)
{
	return fails(FAULTS_FTRUNCATE, NULL) ? -1 : __real_ftruncate(fd, size);
}

ssize_t
__wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return fails(FAULTS_PWRITE, &size) ? -1 : __real_pwrite(fd, data, size, offset);
}

ssize_t
__wrap_pread(int fd, void *out, size_t size, off_t offset)
{
	return fails(FAULTS_PREAD, NULL) ? -1 : __real_pread(fd, out, size, offset);
}

int
__wrap_openat(int directory, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return fails(FAULTS_OPENAT, NULL) ? -1 : __real_openat(directory, path, flags, mode);
}

ssize_t
__wrap_write(int fd, const void *data, size_t size)
{
	return fails(FAULTS_WRITE, NULL) ? -1 : __real_write(fd, data, size);
}

/* Sockets. */

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __real_recv(int fd, void *out, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t size, int flags);
int __real_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __real_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout);

/* After ECONNRESET a connection is broken for both ends. */
static ssize_t
fail_on(int fd, int error)
{
	if (error == ECONNRESET)
		shutdown(fd, SHUT_RDWR);
	errno = error;
	return -1;
}

ssize_t
__wrap_send(int fd, const void *data, size_t size, int flags)
{
	int error = strike(FAULTS_SEND);

	if (error == FAULTS_SHORT)
		size = (size + 1) / 2;
	return error > 0 ? fail_on(fd, error) : __real_send(fd, data, size, flags);
}

/* A short receive is one byte, so that it cuts every frame. */
ssize_t
__wrap_recv(int fd, void *out, size_t size, int flags)
{
	int error = strike(FAULTS_RECV);

	if (error == FAULTS_SHORT)
		size = 1;
	return error > 0 ? fail_on(fd, error) : __real_recv(fd, out, size, flags);
}

int
__wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
	return fails(FAULTS_ACCEPT, NULL) ? -1 : __real_accept4(fd, peer, size, flags);
}

/* Only adding a descriptor needs memory. */
int
__wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && fails(FAULTS_EPOLL_ADD, NULL))
		return -1;
	return __real_epoll_ctl(epoll, operation, fd, event);
}

int
__wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	if (entered != NULL)
		atomic_fetch_add(&entered->waits, 1);
	return fails(FAULTS_EPOLL_WAIT, NULL) ? -1 :
						__real_epoll_wait(epoll, events, most, timeout);
}

/* Entropy, and time. */

ssize_t __real_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
uint64_t __real_clock_now(void);
uint64_t __wrap_clock_now(void);

ssize_t
__wrap_getrandom(void *out, size_t size, unsigned flags)
{
	return fails(FAULTS_RANDOM, NULL) ? -1 : __real_getrandom(out, size, flags);
}

uint64_t
__wrap_clock_now(void)
{
	return __real_clock_now() + (entered == NULL ? 0 : atomic_load(&entered->clock_offset));
}
