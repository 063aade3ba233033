/*
 * hostfile: a file of the host, in the one room where host memory is read and written.
 *
 * The host may change, cut, replace or remove the file at any time, while it is read too. So a read
 * copies once, into the caller's private memory, and the copy means nothing before the caller has
 * verified it.
 *
 * Where pread(2) and pwrite(2) work they are used, and nothing is mapped: no truncation can then
 * kill the process. Where they do not (hostprobe.h) the file is mapped shared. A host that cuts it
 * short then, or has no room left, ends the process (SIGBUS): denial of service, which it always
 * has. Nor does anything tell there how long the file is: a library OS remembers the size that the
 * name had when it was first seen. A caller that has it from elsewhere looks first; else it calls
 * hostfile_set_size() before it maps. hostfile_open() chooses the way; its callers need not know.
 *
 * A caller that needs a mapping (atomics in shared memory) calls hostprobe_check_shared() first.
 *
 * Names are one component, relative to a directory's descriptor; symbolic links are not followed.
 */
#ifndef COMMON_HOST_HOSTFILE_H
#define COMMON_HOST_HOSTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/host/ownfd.h"

struct hostfile {
	struct ownfd descriptor;
	bool is_by_mapping;      /* reads and writes go through the mapping, not pread and pwrite */
	uint8_t *untrusted_base; /* the shared mapping, or NULL */
	size_t mapped;           /* bytes of it */
};

#define HOSTFILE_CLOSED ((struct hostfile){ .descriptor = OWNFD_CLOSED })

/*
 * Opens the regular file name for reading and writing, which should measure size bytes. Never
 * waits, whatever has that name. Returns 0; -EIO when it is shorter, is no regular file, or can be
 * neither read nor mapped; -ENOMEM; or a negative errno of openat(2) (-ELOOP: a symbolic link;
 * -EAGAIN: another process has a lease on it).
 */
int hostfile_open(struct hostfile *h, int directory, const char *name, uint64_t size);

/*
 * Creates name, size bytes of zeros without storage behind them (sparse), mode 0660 whatever the
 * umask; but where files are mapped a library OS cannot change modes, and the umask of its host
 * counts. Returns 0 or a negative errno: -EEXIST when anything has that name, -ENOSPC, -EFBIG,
 * -EACCES, -EROFS, or as hostfile_open() says; the file is then removed again. So it is for files
 * that no other process uses before this returns.
 */
int hostfile_create(struct hostfile *h, int directory, const char *name, uint64_t size);

/*
 * Creates name without a byte, for a file that other processes may open, lengthen and use at once:
 * leaves the length as they have it, and never removes the file. Where the system has files without
 * a name, it has its mode before its name. Returns as hostfile_create() does.
 */
int hostfile_create_empty(struct hostfile *h, int directory, const char *name);

/*
 * Makes the file measure size bytes, whatever its status says; new ones are zeros, and bytes behind
 * are lost. Returns 0; -EFBIG: the process may not write so much; or a negative errno of
 * ftruncate(2).
 */
int hostfile_set_size(const struct hostfile *h, uint64_t size);

/* Closes and unmaps. Also for one that is closed. */
void hostfile_close(struct hostfile *h);

/*
 * Copies size bytes at offset out of the file. Returns 0, or -EIO when it has fewer or cannot be
 * read: out then holds anything.
 */
int hostfile_read(const struct hostfile *h, uint64_t offset, void *out, size_t size);

/*
 * Copies the first bytes of the file, as many as there are and at most `most`, and stores their
 * number in *count. Returns 0, or -EIO when they cannot be read: so always where the file is read
 * through a mapping.
 */
int hostfile_read_start(const struct hostfile *h, void *out, size_t most, size_t *count);

/*
 * Copies size bytes into the file, inside the size it was opened with. Returns 0, -ENOSPC, -EDQUOT
 * or -EIO: any part of them may then be written.
 */
int hostfile_write(const struct hostfile *h, uint64_t offset, const void *bytes, size_t size);

/* False when the program has closed the descriptor behind our back, see ownfd.h. */
static inline bool
hostfile_is_intact(const struct hostfile *h)
{
	return ownfd_is_intact(&h->descriptor);
}

/*
 * True when name still leads to this very file: same device, same inode number. Some library OSes
 * number no inodes; inside them it is true when any file of that mount has the name.
 */
bool hostfile_is_at(const struct hostfile *h, int directory, const char *name);

/*
 * Maps the first size bytes (at least 1) shared, at most what the file measures, for atomics;
 * untrusted_base is then set however the file is read. Returns 0 (also when as much was mapped
 * before; a smaller mapping is replaced, and untrusted_base moves), -EIO when the file is shorter,
 * -ENOMEM, or -ENOTSUP when it cannot be mapped.
 */
int hostfile_map(struct hostfile *h, size_t size);

#endif
