/*
 * lockfile_kind: decides whether a file is an smc lock file (smc/FORMAT 6), before anything is
 * written to it, and without mapping it where pread(2) works.
 */
#ifndef SMC_LOCKFILE_KIND_H
#define SMC_LOCKFILE_KIND_H

#include "smc/lockfile.h"

/*
 * Checks that l->file, which is open, is a lock file, and gives an empty one its size. Caller holds
 * the recovery lock; without kernel locks it does not, and waits for the process that created the
 * file to start it. Returns 0; -EEXIST: it is foreign; -ETIMEDOUT: that process does not go on;
 * -ENOSPC, ...; with a message.
 */
int lockfile_kind_check(struct lockfile *l);

#endif
