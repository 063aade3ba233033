/*
 * interposer: what no filter of system calls can do of a library OS, by LD_PRELOAD (launch.c), for
 * the calls that the product makes:
 *
 * Every file has one link and an inode number that is a hash of its path, and a process remembers
 * the size that it first had; only its own calls change that. In the directory LIBOS_SHM, a mount
 * of type untrusted_shm, files are devices that cannot be read or written, and a process
 * also remembers which names it found there. In all other directories shared
 * mappings are private copies. Shared anonymous memory is private. A unix socket's name does not
 * appear on the host. With LIBOS_FLOCK, flock(2) always succeeds: there is one process in the
 * instance.
 */
/* With it the headers define some of these functions themselves. */
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { NAMES_MOST = 64, SIZES_MOST = 4096, FDS_MOST = 1024, PATH_SIZE = PATH_MAX + NAME_MAX + 2 };

/* A name of LIBOS_SHM that this process has found. */
struct found {
	char name[NAME_MAX + 1];
	off_t size;
};

static struct found names[NAMES_MOST];
static struct found *opened[FDS_MOST]; /* by descriptor */

/* A regular file outside of LIBOS_SHM. */
struct seen {
	ino_t number; /* 0: none */
	off_t size;   /* negative: not known */
};

static struct seen sizes[SIZES_MOST];

/* The path of a descriptor. */
static bool
path_of(int fd, char path[PATH_SIZE])
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX);
	path[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool
is_shm(int directory)
{
	const char *shm = getenv("LIBOS_SHM");
	char path[PATH_SIZE];

	return shm != NULL && path_of(directory, path) && strcmp(path, shm) == 0;
}

static struct found *
recall(const char *name)
{
	int i;

	for (i = 0; i < NAMES_MOST; i++)
		if (strcmp(names[i].name, name) == 0)
			return &names[i];
	return NULL;
}

/* Looks on the host only for a name that is not remembered. */
static struct found *
find(int directory, const char *name)
{
	struct found *f = recall(name);
	struct stat st;

	if (f != NULL || syscall(SYS_newfstatat, directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return f;
	f = recall("");
	if (f == NULL)
		abort();
	snprintf(f->name, sizeof f->name, "%s", name);
	f->size = st.st_size;
	return f;
}

/* Names and numbers of files. */

static ino_t
hash(const char *path)
{
	ino_t h = 5381;

	while (*path != '\0')
		h = h * 33 + (unsigned char)*path++;
	return h;
}

static ino_t
number_of(const char *path)
{
	static const char gone[] = " (deleted)";
	char name[PATH_SIZE];
	size_t n = (size_t)snprintf(name, sizeof name, "%s", path);

	if (n > sizeof gone && strcmp(name + n - (sizeof gone - 1), gone) == 0)
		name[n - (sizeof gone - 1)] = '\0';
	return hash(name);
}

/* What is remembered of the file with that number. */
static struct seen *
size_of(ino_t number)
{
	size_t i = number % SIZES_MOST, n;

	for (n = 0; n < SIZES_MOST; n++, i = (i + 1) % SIZES_MOST) {
		if (sizes[i].number == 0)
			sizes[i] = (struct seen){ number, -1 };
		if (sizes[i].number == number)
			return &sizes[i];
	}
	abort();
}

/* This process has set the size of a regular file. */
static void
set_size(int fd, off_t size, bool is_least)
{
	char path[PATH_SIZE];
	struct seen *seen;

	if (!path_of(fd, path) || path[0] != '/')
		return;
	seen = size_of(number_of(path));
	if (seen->size >= 0 && (!is_least || seen->size < size))
		seen->size = size;
}

static void
disguise(struct stat *st, const char *path, const struct found *f)
{
	struct seen *seen;

	st->st_ino = number_of(path);
	if (!S_ISDIR(st->st_mode))
		st->st_nlink = 1;
	if (f == NULL && S_ISREG(st->st_mode)) {
		seen = size_of(st->st_ino);
		if (seen->size < 0)
			seen->size = st->st_size;
		st->st_size = seen->size;
	}
	if (f == NULL)
		return;
	st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFCHR;
	st->st_rdev = 0;
	st->st_blocks = 0;
	st->st_size = f->size;
}

static struct found *
opened_as(int fd)
{
	return fd >= 0 && fd < FDS_MOST ? opened[fd] : NULL;
}

EXPORT int
fstat(int fd, struct stat *st)
{
	char path[PATH_SIZE];

	if (syscall(SYS_fstat, fd, st) != 0)
		return -1;
	if (path_of(fd, path) && path[0] == '/')
		disguise(st, path, opened_as(fd));
	else if (S_ISSOCK(st->st_mode))
		st->st_dev = st->st_ino = 0;
	return 0;
}

EXPORT int
fstatat(int directory, const char *restrict name, struct stat *restrict st, int flags)
{
	const bool is_device = is_shm(directory);
	struct found *f = is_device ? find(directory, name) : NULL;
	char path[2 * PATH_SIZE];

	if (is_device && f == NULL) {
		errno = ENOENT;
		return -1;
	}
	/* A remembered file that is gone is there still. */
	if (syscall(SYS_newfstatat, directory, name, st, flags) != 0) {
		if (f == NULL)
			return -1;
		*st = (struct stat){ .st_mode = S_IFCHR | 0660 };
	}
	if (path_of(directory, path)) {
		snprintf(path + strlen(path), PATH_SIZE, "/%s", name);
		disguise(st, path, f);
	}
	return 0;
}

EXPORT int
unlinkat(int directory, const char *name, int flags)
{
	struct found *f = is_shm(directory) ? recall(name) : NULL;
	char path[2 * PATH_SIZE];

	if (f != NULL && flags == 0)
		f->name[0] = '\0';
	if (f == NULL && path_of(directory, path)) {
		snprintf(path + strlen(path), PATH_SIZE, "/%s", name);
		size_of(number_of(path))->size = -1;
	}
	return (int)syscall(SYS_unlinkat, directory, name, flags);
}

/* Opening. */

static int
open_device(int directory, const char *name, int flags, mode_t mode)
{
	struct found *f = find(directory, name);
	int fd;

	if (f != NULL && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
		errno = EEXIST;
		return -1;
	}
	fd = (int)syscall(SYS_openat, directory, name, flags, mode);
	if (fd >= 0 && fd < FDS_MOST)
		opened[fd] = f != NULL ? f : find(directory, name);
	return fd;
}

EXPORT int
openat(int directory, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list args;
	int fd;

	if ((flags & O_CREAT) != 0) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	/* A library OS opens the directory instead, and that is not for writing. */
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		errno = EISDIR;
		return -1;
	}
	if (is_shm(directory) && strcmp(name, ".") != 0)
		return open_device(directory, name, flags, mode);
	fd = (int)syscall(SYS_openat, directory, name, flags, mode);
	if (fd >= 0 && fd < FDS_MOST)
		opened[fd] = NULL;
	return fd;
}

EXPORT int
close(int fd)
{
	if (fd >= 0 && fd < FDS_MOST)
		opened[fd] = NULL;
	return (int)syscall(SYS_close, fd);
}

/* What descriptors can do. */

EXPORT ssize_t
pread(int fd, void *out, size_t size, off_t offset)
{
	if (opened_as(fd) == NULL)
		return syscall(SYS_pread64, fd, out, size, offset);
	errno = ESPIPE;
	return -1;
}

EXPORT ssize_t
read(int fd, void *out, size_t size)
{
	if (opened_as(fd) == NULL)
		return syscall(SYS_read, fd, out, size);
	errno = EBADF;
	return -1;
}

ssize_t __pread_chk(int fd, void *out, size_t size, off_t offset, size_t room);

EXPORT ssize_t
__pread_chk(int fd, void *out, size_t size, off_t offset, size_t room)
{
	if (size > room)
		abort();
	return pread(fd, out, size, offset);
}

EXPORT ssize_t
pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	ssize_t n;

	if (opened_as(fd) != NULL) {
		errno = ESPIPE;
		return -1;
	}
	n = syscall(SYS_pwrite64, fd, bytes, size, offset);
	if (n > 0)
		set_size(fd, offset + n, true);
	return n;
}

EXPORT int
ftruncate(int fd, off_t size)
{
	struct found *f = opened_as(fd);

	if (syscall(SYS_ftruncate, fd, size) != 0)
		return -1;
	if (f != NULL)
		f->size = size;
	else
		set_size(fd, size, false);
	return 0;
}

EXPORT int
flock(int fd, int operation)
{
	return getenv("LIBOS_FLOCK") != NULL ? 0 : (int)syscall(SYS_flock, fd, operation);
}

EXPORT void *
mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	if ((flags & MAP_TYPE) == MAP_SHARED &&
	    ((flags & MAP_ANONYMOUS) != 0 || opened_as(fd) == NULL))
		flags = (flags & ~MAP_TYPE) | MAP_PRIVATE;
	return (void *)syscall(SYS_mmap, hint, size, prot, flags, fd, offset);
}

/* A unix socket gets a name that nobody knows. */
EXPORT int
bind(int fd, const struct sockaddr *sa, socklen_t size)
{
	return (int)syscall(SYS_bind, fd, sa,
	    sa->sa_family == AF_UNIX ? (socklen_t)sizeof sa->sa_family : size);
}
