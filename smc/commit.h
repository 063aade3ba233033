/*
 * commit: publishes what the holder of the lock changed (smc/FORMAT 8). The steps are those of
 * tests/model/lock.pml:
 *
 *	P1	check that the lock is still ours and the descriptors are what we opened
 *	P2	if a grant was drawn that was not committed, clear its entries: when a higher grant
 *		begins, no entry may be above the committed version, or that grant's commit
 *		would publish it
 *	P3	draw the next grant, from the lock file
 *	P4, P5	write blocks, then entries with that grant, into the slots that are not current
 *	P6	store the grant as the committed version: one store, which is the release
 *
 * A process that dies, or fails, before P6 has published nothing. A waiter that recovers a dead
 * holder's turn clears no entries; the next holder that writes does (P2). So P2 also clears the
 * entries of a release that failed in a living process, and only a holder ever clears entries.
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
 * -EOVERFLOW (2^32 releases in this life), -EFBIG, -ENOSPC, -EDQUOT, -EIO, with a message; nothing
 * was published then, and the replica is to be made void.
 */
int commit_run(struct lockfile *l, struct segment *s, struct replica *replica, uint64_t *version);

#endif
