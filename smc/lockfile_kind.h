/*
 * lockfile_kind: decides whether a file is an smc lock file (smc/FORMAT 6), before anything is
 * written to it, and without mapping it where pread(2) works.
 *
 * Where it has to be mapped, nothing tells how long it is, and a page that it does not have would
 * kill the process: a file that had no size, or that of a lock file, when this process first saw
 * its name gets that of a lock file before. If it has become a foreign file since, that one loses
 * what is behind.
 */
#ifndef SMC_LOCKFILE_KIND_H
#define SMC_LOCKFILE_KIND_H

#include "smc/lockfile.h"

/*
 * Checks that l->file, which is open, is a lock file, and gives an empty one its size and storage.
 * A process that died before it had begun the file leaves it empty. The caller holds the recovery
 * lock if it may use kernel locks; another process, without them, may start the file meanwhile.
 * Returns 0; -EEXIST: it is foreign; -ENOENT: it is empty, and not to be created; an error of
 * lockfile_locks_choose(): this process could not start an empty one; -ENOSPC, ...; with a message.
 */
int lockfile_kind_check(struct lockfile *l);

/*
 * Copies the first bytes of a file, as many as there are, and stores their number in *count. Where
 * it has to be mapped, an empty one has LOCKFILE_SIZE of them then. Returns 0 or a negative errno.
 */
int lockfile_kind_copy(struct hostfile *file, uint8_t bytes[LOCKFILE_SIZE + 1], size_t *count);

#endif
