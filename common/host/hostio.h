/*
 * hostio: the system calls on a file of the host, each carried through: an interrupted call is
 * repeated, and a read or write that was done in part goes on. Only hostio_create() is not
 * repeated: it may have made the file.
 *
 * Host memory is copied to and from and never used in place: the host may write to it at any time.
 */
#ifndef COMMON_HOST_HOSTIO_H
#define COMMON_HOST_HOSTIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Opens a directory, to give its descriptor to the functions that take a name; to be closed with
 * close(2). Returns 0 or a negative errno of open(2).
 */
int hostio_open_directory(int *fd, const char *path);

/*
 * Opens the file name for reading and writing; symbolic links are not followed. Never waits.
 * Returns 0; -EIO for a directory, a socket or a device without a driver; or a negative errno of
 * openat(2).
 */
int hostio_open(int *fd, int directory, const char *name);

/*
 * Creates the file name, empty, with mode as the umask lets it have, and opens it. Returns 0 or a
 * negative errno of openat(2): -EEXIST when anything has that name.
 */
int hostio_create(int *fd, int directory, const char *name, mode_t mode);

/* Reads size bytes at offset. Returns 0, or -EIO when there are fewer or they cannot be read. */
int hostio_read(int fd, uint64_t offset, void *out, size_t size);

/*
 * Reads the first bytes of a file, as many as there are and at most `most`, and stores their number
 * in *count. Returns 0, or -EIO when they cannot be read.
 */
int hostio_read_start(int fd, void *out, size_t most, size_t *count);

/* Writes size bytes at offset. Returns 0, -ENOSPC, -EDQUOT or -EIO: some of them may be written. */
int hostio_write(int fd, uint64_t offset, const void *bytes, size_t size);

/*
 * The process's limit for files (RLIMIT_FSIZE): a write or an extension beyond it would raise
 * SIGXFSZ, which ends a program that does not handle it. So callers look before they write to a
 * file of size bytes or give it that size. Returns 0 or -EFBIG.
 */
int hostio_check_limit(uint64_t size);

/*
 * The same for critical sections, which cannot afford a system call more: with the limit that this
 * copy of the process had in this tick of the coarse clock. A process that has lowered its limit
 * meanwhile, in 10 ms at most, may get the signal.
 */
int hostio_check_recent_limit(uint64_t size);

/*
 * Maps size bytes at offset, a multiple of the page size, shared, to be unmapped with munmap(2).
 * Returns 0, -ENOMEM, or -ENOTSUP when the file cannot be mapped.
 */
int hostio_map(int fd, uint64_t offset, size_t size, uint8_t **untrusted_base);

/* Copies to or from host memory: each byte is read once, even if the host changes it meanwhile. */
void hostio_copy(void *out, const void *in, size_t size);

#endif
