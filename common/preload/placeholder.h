/*
 * placeholder: the kernel's descriptor that stands behind the number of a memory file: an O_PATH
 * descriptor of the symbolic link /proc/self.
 *
 * It carries no data, and the kernel answers EBADF to whatever reaches it past this library (from a
 * static child, after exec, from io_uring): read, write, mmap, ioctl, ftruncate, flock, fcntl's
 * locks, sendfile. Opening it again (/dev/fd/9) is ELOOP. So no byte of a memory file goes to the
 * host, and no lock excludes nobody. dup, F_GETFD, F_SETFD, close, fstat and exec work as they do
 * for other descriptors, which makes the numbers those that POSIX promises.
 *
 * A library OS may have no such descriptors. There it is the root directory, which nothing reads,
 * writes or maps either; and all its programs have this library, after exec, too.
 */
#ifndef COMMON_PRELOAD_PLACEHOLDER_H
#define COMMON_PRELOAD_PLACEHOLDER_H

#include <stdbool.h>

/* Returns a new descriptor, the lowest number that is free, or a negative errno. */
int placeholder_open(bool is_cloexec);

/*
 * False when the number is not open, or of something that can be read: the program has closed it
 * behind our back, with a bare system call.
 */
bool placeholder_is(int fd);

#endif
