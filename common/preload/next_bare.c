#include "common/preload/next_bare.h"

#include <stdarg.h>
#include <sys/syscall.h>

static int
bare_open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list args;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int
bare_openat(int directory, const char *path, int flags, ...)
{
	mode_t mode;
	va_list args;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return (int)syscall(SYS_openat, directory, path, flags, mode);
}

static int
bare_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static int
bare_fcntl(int fd, int command, ...)
{
	void *argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

static void *
bare_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

static int
bare_munmap(void *address, size_t size)
{
	return (int)syscall(SYS_munmap, address, size);
}

static int
bare_mprotect(void *address, size_t size, int protection)
{
	return (int)syscall(SYS_mprotect, address, size, protection);
}

static int
bare_madvise(void *address, size_t size, int advice)
{
	return (int)syscall(SYS_madvise, address, size, advice);
}

static ssize_t
bare_read(int fd, void *bytes, size_t size)
{
	return syscall(SYS_read, fd, bytes, size);
}

static ssize_t
bare_write(int fd, const void *bytes, size_t size)
{
	return syscall(SYS_write, fd, bytes, size);
}

static int
bare_fstat(int fd, struct stat *out)
{
	return (int)syscall(SYS_newfstatat, fd, "", out, AT_EMPTY_PATH);
}

static int
bare_fstatat(int directory, const char *path, struct stat *out, int flags)
{
	return (int)syscall(SYS_newfstatat, directory, path, out, flags);
}

static int
bare_stat(const char *path, struct stat *out)
{
	return bare_fstatat(AT_FDCWD, path, out, 0);
}

static int
bare_access(const char *path, int mode)
{
	return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

/* A member that another thread has set in the meantime stays. */
#define FILL(name) \
	do { \
		next_##name##_function *unset = NULL; \
		(void)atomic_compare_exchange_strong(&n->name, &unset, bare_##name); \
	} while (0)

void
next_bare_fill(struct next *n)
{
	FILL(open);
	FILL(openat);
	FILL(close);
	FILL(fcntl);
	FILL(mmap);
	FILL(munmap);
	FILL(mprotect);
	FILL(madvise);
	FILL(read);
	FILL(write);
	FILL(fstat);
	FILL(fstatat);
	FILL(stat);
	FILL(access);
}
