/*
 * commit: publishes what the holder of the lock changed (DESIGN 7; tests/model/lock.pml has its
 * steps as commit).
 *
 *	look		the lock is still ours, the descriptors are what we opened
 *	clear		if a grant was drawn that was not committed, its leftovers: nothing may be above the committed version
 *			when a higher grant begins, or that one's commit would publish them
 *	draw		the next grant, from the lock file
 *	write		blocks, then entries with that grant, into the slots that do not count
 *	commit		the grant as the committed version: one store, the release
 *
 * Who dies, or fails, before the last step has published nothing. (The take-over of a dead holder's
 * turn clears nothing, unlike DESIGN 7 says: whoever is next to write does, which also covers
 * releases that failed while their process lives, and leaves nothing to do that could hit a process
 * which holds the lock.)
 */
#ifndef SMC_COMMIT_H
#define SMC_COMMIT_H

#include <stdint.h>

struct lockfile;
struct replica;
struct segment;

/*
 * Publishes what changed in the replica; *version is the grant, 0 when nothing had. Returns 0;
 * -ESTALE (the lock is not ours any more), -EBADF (the program has closed our descriptors),
 * -EOVERFLOW (2^32 releases in this life), -ENOSPC, -EDQUOT, -EIO, with words; nothing was
 * published then, and the replica is to be made void.
 */
int commit_run(struct lockfile *l, struct segment *s, struct replica *replica, uint64_t *version);

#endif
