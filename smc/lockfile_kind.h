/*
 * lockfile_kind: decides whether a file is an smc lock file (smc/FORMAT 6), before anything is
 * written to it, and without mapping it where pread(2) works.
 */
#ifndef SMC_LOCKFILE_KIND_H
#define SMC_LOCKFILE_KIND_H

#include "smc/lockfile.h"

/*
 * Checks that l->file, which is open, is a lock file, and gives an empty one its size and storage.
 * A process that died before it had begun the file leaves it empty. The caller holds the recovery
 * lock if it may use kernel locks; another process, without them, may start the file meanwhile.
 * Returns 0; -EEXIST: it is foreign; an error of lockfile_locks_choose(): this process could not
 * start an empty one; -ENOSPC, ...; with a message.
 */
int lockfile_kind_check(struct lockfile *l);

#endif
