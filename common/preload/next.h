/*
 * next: the functions that ours stand in front of: those of the next object that defines them,
 * which is the C library, or another preloaded one.
 *
 * NEXT(name) is the function. Nothing is looked up before it is needed: a constructor of another
 * library may open files before ours has run, and several threads at once. What is found is stored
 * once, a pointer at a time, and never changes. dlsym(3) may allocate memory, and a preloaded
 * allocator may call mmap() or open() for that: while a thread looks names up, its calls are bare
 * system calls (next_bare.c).
 *
 * 64-bit systems only: off_t and off64_t are one type there, so open64() is open().
 */
#ifndef COMMON_PRELOAD_NEXT_H
#define COMMON_PRELOAD_NEXT_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Each function: its type, name and parameters. */
#define NEXT_FUNCTIONS(X) \
	X(int, open, (const char *, int, ...)) \
	X(int, openat, (int, const char *, int, ...)) \
	X(int, close, (int)) \
	X(int, close_range, (unsigned, unsigned, int)) \
	X(void, closefrom, (int)) \
	X(int, dup, (int)) \
	X(int, dup2, (int, int)) \
	X(int, dup3, (int, int, int)) \
	X(int, fcntl, (int, int, ...)) \
	X(int, flock, (int, int)) \
	X(int, lockf, (int, int, off_t)) \
	X(void *, mmap, (void *, size_t, int, int, int, off_t)) \
	X(int, munmap, (void *, size_t)) \
	X(void *, mremap, (void *, size_t, size_t, int, ...)) \
	X(int, mprotect, (void *, size_t, int)) \
	X(int, madvise, (void *, size_t, int)) \
	X(int, msync, (void *, size_t, int)) \
	X(int, ftruncate, (int, off_t)) \
	X(off_t, lseek, (int, off_t, int)) \
	X(int, stat, (const char *, struct stat *)) \
	X(int, lstat, (const char *, struct stat *)) \
	X(int, fstat, (int, struct stat *)) \
	X(int, fstatat, (int, const char *, struct stat *, int)) \
	X(int, statx, (int, const char *, int, unsigned, struct statx *)) \
	X(int, access, (const char *, int)) \
	X(int, faccessat, (int, const char *, int, int)) \
	X(int, eaccess, (const char *, int)) \
	X(int, unlink, (const char *)) \
	X(int, unlinkat, (int, const char *, int)) \
	X(int, rmdir, (const char *)) \
	X(int, remove, (const char *)) \
	X(int, chmod, (const char *, mode_t)) \
	X(int, fchmod, (int, mode_t)) \
	X(int, fchmodat, (int, const char *, mode_t, int)) \
	X(int, chown, (const char *, uid_t, gid_t)) \
	X(int, lchown, (const char *, uid_t, gid_t)) \
	X(int, fchown, (int, uid_t, gid_t)) \
	X(int, fchownat, (int, const char *, uid_t, gid_t, int)) \
	X(int, chdir, (const char *)) \
	X(int, fchdir, (int)) \
	X(int, chroot, (const char *)) \
	X(int, execve, (const char *, char *const[], char *const[])) \
	X(int, execv, (const char *, char *const[])) \
	X(int, execvp, (const char *, char *const[])) \
	X(int, execvpe, (const char *, char *const[], char *const[])) \
	X(int, fexecve, (int, char *const[], char *const[])) \
	X(int, execveat, (int, const char *, char *const[], char *const[], int)) \
	X(int, daemon, (int, int)) \
	X(void, _exit, (int)) \
	X(FILE *, fopen, (const char *, const char *)) \
	X(FILE *, freopen, (const char *, const char *, FILE *)) \
	X(FILE *, fdopen, (int, const char *)) \
	X(int, fclose, (FILE *)) \
	X(ssize_t, read, (int, void *, size_t)) \
	X(ssize_t, write, (int, const void *, size_t)) \
	X(ssize_t, pread, (int, void *, size_t, off_t)) \
	X(ssize_t, pwrite, (int, const void *, size_t, off_t)) \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t)) \
	X(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t)) \
	X(ssize_t, readv, (int, const struct iovec *, int)) \
	X(ssize_t, writev, (int, const struct iovec *, int)) \
	X(ssize_t, preadv, (int, const struct iovec *, int, off_t)) \
	X(ssize_t, pwritev, (int, const struct iovec *, int, off_t)) \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int)) \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int)) \
	X(ssize_t, sendfile, (int, int, off_t *, size_t)) \
	X(ssize_t, copy_file_range, (int, off_t *, int, off_t *, size_t, unsigned)) \
	X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned)) \
	X(int, ioctl, (int, unsigned long, ...)) \
	X(int, fsync, (int)) \
	X(int, fdatasync, (int)) \
	X(int, fallocate, (int, int, off_t, off_t)) \
	X(int, posix_fallocate, (int, off_t, off_t)) \
	X(int, posix_fadvise, (int, off_t, off_t, int)) \
	X(ssize_t, readahead, (int, off_t, size_t)) \
	X(int, sync_file_range, (int, off_t, off_t, unsigned)) \
	X(int, futimens, (int, const struct timespec *)) \
	X(ssize_t, fgetxattr, (int, const char *, void *, size_t)) \
	X(int, fsetxattr, (int, const char *, const void *, size_t, int)) \
	X(ssize_t, flistxattr, (int, char *, size_t)) \
	X(int, fremovexattr, (int, const char *))

#define NEXT_TYPE(type, name, parameters) typedef type next_##name##_function parameters;
NEXT_FUNCTIONS(NEXT_TYPE)
#undef NEXT_TYPE

#define NEXT_MEMBER(type, name, parameters) _Atomic(next_##name##_function *) name;
struct next {
	NEXT_FUNCTIONS(NEXT_MEMBER)
};
#undef NEXT_MEMBER

/* Each NULL until it is known. */
extern struct next next;

#define NEXT(name) \
	(__builtin_expect(atomic_load_explicit(&next.name, memory_order_relaxed) == NULL, 0) ? \
		((void)next_find(), atomic_load_explicit(&next.name, memory_order_relaxed)) : \
		atomic_load_explicit(&next.name, memory_order_relaxed))

/*
 * Makes every member callable: a function that dlsym(3) finds, or bare system calls when the thread
 * is in dlsym(3) already. A function that the C library does not have fails with ENOSYS.
 */
void next_find(void);

#endif
