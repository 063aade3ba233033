/*
 * hostfile: a file of the host, the one place where host memory is read and written.
 *
 * The host may change, cut, replace or remove the file at any time, while it is read too. So what
 * is read is copied once, into the caller's private memory, and means nothing before the caller has
 * verified that copy.
 *
 * Where pread(2) and pwrite(2) work they are used, and nothing is mapped: no truncation can then
 * kill the process. Where they do not (a mount of type untrusted_shm of a library OS, which knows
 * open, ftruncate and mmap only and calls its files character devices) the file is mapped shared. A
 * host that cuts it short then, or has no room left, ends the process (SIGBUS): denial of service,
 * which it always has. hostfile_open() finds out which way serves; nobody else needs to know.
 *
 * Elsewhere the same library OS gives a *private* copy to who maps a file shared, silently. Who
 * needs a mapping (atomics in shared memory) asks hostfile_probe_shared() first.
 *
 * Names are one component, relative to a directory's descriptor; symbolic links are not followed.
 */
#ifndef COMMON_HOST_HOSTFILE_H
#define COMMON_HOST_HOSTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hostfile {
	int fd;                  /* -1: not open */
	uint64_t device, inode;  /* of what was opened */
	bool is_by_mapping;      /* reads and writes go through the mapping, not pread and pwrite */
	uint8_t *untrusted_base; /* the shared mapping, or NULL */
	size_t mapped;           /* bytes of it */
};

#define HOSTFILE_CLOSED ((struct hostfile){ .fd = -1 })

/*
 * Opens the regular file name for reading and writing, which should measure size bytes. Returns 0;
 * -EIO when it is shorter, is no regular file, or can be neither read nor mapped; -ENOMEM; or a
 * negative errno of openat(2) (-ELOOP: a symbolic link; -EAGAIN: somebody has a lease on it). Never
 * waits, whatever is there.
 */
int hostfile_open(struct hostfile *h, int directory, const char *name, uint64_t size);

/*
 * Creates name, size bytes of zeros without storage behind them (sparse), mode 0660 whatever the
 * umask. Returns 0 or a negative errno: -EEXIST whatever is there under that name, -ENOSPC, -EFBIG,
 * -EACCES, -EROFS, or as hostfile_open() says; nothing is then left of it.
 */
int hostfile_create(struct hostfile *h, int directory, const char *name, uint64_t size);

/*
 * The file measures at least size bytes from now on; new ones are zeros. Returns 0 or a negative
 * errno of ftruncate(2).
 */
int hostfile_extend(const struct hostfile *h, uint64_t size);

/* Closes and unmaps. Also for one that is closed. */
void hostfile_close(struct hostfile *h);

/* Copies size bytes at offset out of the file. Returns 0, or -EIO when it has not so many or cannot be read: out then
 * holds anything. */
int hostfile_read(const struct hostfile *h, uint64_t offset, void *out, size_t size);

/*
 * Copies size bytes into the file, inside the size it was opened with. Returns 0, -ENOSPC, -EDQUOT
 * or -EIO: any part of them may then be written.
 */
int hostfile_write(const struct hostfile *h, uint64_t offset, const void *bytes, size_t size);

/*
 * False when the descriptor is not what was opened: the program has closed it behind our back
 * (closefrom(3)), and perhaps has a file of its own there by now, which is not ours to write to.
 */
bool hostfile_is_intact(const struct hostfile *h);

/*
 * True when name leads to this very file still: same device, same inode number. Some library OSes
 * number no inodes; inside them it is true when any file of that mount is there.
 */
bool hostfile_is_at(const struct hostfile *h, int directory, const char *name);

/*
 * Maps the first size bytes (at least 1) shared, at most what the file measures, for atomics;
 * untrusted_base is then there however the file is read. Returns 0 (also when so much was mapped;
 * less is replaced, and untrusted_base moves), -EIO when the file is shorter, -ENOMEM, or -ENOTSUP
 * when it cannot be mapped.
 */
int hostfile_map(struct hostfile *h, size_t size);

/*
 * Finds out whether what is written through a mapping of name reaches the host: writes 8 random
 * bytes at offset, where nobody else writes anything but the same question, and looks for them
 * through another descriptor. Returns 0; -ENOTSUP when mappings here are private copies, or there
 * are none; -EAGAIN when others asked there all the time; or what hostfile_open() says of a file of
 * at least offset + 8 bytes.
 *
 * A library OS may write a private copy back when it is unmapped, as a whole: all that others wrote
 * to that page meanwhile is lost. So where that matters the bytes have a page, or a file, of their
 * own.
 */
int hostfile_probe_shared(int directory, const char *name, uint64_t offset);

#endif
