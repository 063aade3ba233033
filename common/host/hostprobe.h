/*
 * hostprobe: the calls and mappings that the kernel or library OS below us offers for a file. It
 * tries them; no code asks for the name of a system. ground.h knows what is the same for all files.
 *
 * It answers two questions. Does an errno mean that a call is missing, and not that it failed?
 * hostprobe_is_missing() has a table of these. Which calls work on a file? In Gramine, files on a
 * mount of type untrusted_shm are character devices, with open, ftruncate and mmap only. On other
 * mounts a shared mapping succeeds and is a *private* copy.
 *
 * The host decides what is found here. It can make any of these say that something is missing; then
 * the caller does without, or refuses to open the file.
 */
#ifndef COMMON_HOST_HOSTPROBE_H
#define COMMON_HOST_HOSTPROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Calls that some systems have for some files only. */
enum hostprobe_call {
	HOSTPROBE_PREAD,   /* pread(2) and pwrite(2) of this file */
	HOSTPROBE_OFD_LOCK /* fcntl(2) with F_OFD_SETLK and F_OFD_GETLK, Linux 3.15 */
};

/* Whether error, with which call failed (a negative errno), says that there is no such call. */
bool hostprobe_is_missing(enum hostprobe_call call, int error);

/*
 * Finds out how fd, of which st is the status, is read and written: *is_by_mapping is true where
 * pread(2) and pwrite(2) do not work and a mapping has to do. Returns 0, or -EIO when it measures
 * less than size bytes, is no file, or cannot be read. The size of a library OS's device is not
 * known: its st_size is that of the first file that this process saw under the name.
 */
int hostprobe_find_access(int fd, const struct stat *st, uint64_t size, bool *is_by_mapping);

/*
 * Finds out whether a write through a mapping of the file name reaches the host: writes a mark of 8
 * random bytes at offset and looks for it through another descriptor. Nothing but this function may
 * write there. Returns 0; -ENOTSUP when mappings here are private copies, or there are none;
 * -EAGAIN when other processes replaced the mark all the time; or what hostfile_open() says of a
 * file of at least offset + 8 bytes.
 *
 * A library OS may write a private copy back as a whole when it is unmapped, over what other
 * processes wrote to that page meanwhile. So where that matters the bytes have a page, or a file,
 * of their own.
 */
int hostprobe_check_shared(int directory, const char *name, uint64_t offset);

#endif
