/*
 * lockfile_locks: whether the processes of an smc lock file use kernel locks. The file says it, in
 * its format: its first word that is not zero, stored by compare-and-swap, so that one process
 * decides for all. A process that cannot do as the file says, or whose mount says otherwise, gets
 * an error and changes nothing: it would see no process that lives, or would not be seen.
 *
 * A mount without locks= creates files with kernel locks, and fails where there are none. If it
 * created them without, the order in which processes start would decide how all of them work, and
 * nobody would have agreed to clean up after crashes by hand.
 *
 * A host that changes the format makes processes fail, or take others for dead (smc/FORMAT 9).
 */
#ifndef SMC_LOCKFILE_LOCKS_H
#define SMC_LOCKFILE_LOCKS_H

#include <stdint.h>

#include "smc/lockfile.h"

/*
 * Decides how this process uses a file whose format is found, 0 in a new one: *format is then what
 * it is, or is to be. Returns 0; -EINVAL: this mount says otherwise; -ENOTSUP: there are no kernel
 * locks here; with a message that says what to do.
 */
int lockfile_locks_choose(const struct lockfile *l, uint32_t found, uint32_t *format);

/*
 * Stores the format of l, which is mapped, unless there is one, and makes l->presence do as it
 * says. Holds the recovery lock afterwards: with kernel locks the caller's, without them the word
 * in the file, once the process that stored the format has started the file. Returns 0, -ETIMEDOUT,
 * or as lockfile_locks_choose(); with a message.
 */
int lockfile_locks_settle(struct lockfile *l);

#endif
