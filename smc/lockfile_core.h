/*
 * lockfile_core: functions that opening, closing and fork(2) of an smc lock file have in common;
 * for the files that make up lockfile.h.
 */
#ifndef SMC_LOCKFILE_CORE_H
#define SMC_LOCKFILE_CORE_H

#include "smc/lockfile.h"

/* The memory file does not exist, and is not to be created. Returns -ENOENT. */
int lockfile_fail_absent(const struct lockfile *l);

/* How long opening and closing wait for another process that opens or closes. */
enum { LOCKFILE_PATIENCE_MS = 10 * 1000 };

/* Sleeps before another look at a file that another process is about to change. */
void lockfile_pause(void);

/* The table in file, which is mapped; with kernel locks or without; without a slot yet. */
void lockfile_init_presence(struct presence *p, const struct hostfile *file, bool has_locks);

/* presence_lock_recovery() with that patience. */
int lockfile_lock_recovery_of(struct presence *p);

/* l->file, which measures so much, is mapped and used through l->untrusted_head from now on. */
int lockfile_map(struct lockfile *l);

/*
 * With kernel locks: a forked child gets a description of its own, and not this mapping: the one of
 * this process must end with it.
 */
void lockfile_hide_from_children(struct lockfile *l);

/* Removes the segment file; and both files. Caller holds the recovery lock. */
void lockfile_remove_segment(const struct lockfile *l, int directory);
void lockfile_remove_files(const struct lockfile *l, int directory);

/* Closes and unmaps l->file. */
void lockfile_close_file(struct lockfile *l);

#endif
