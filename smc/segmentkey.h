/*
 * segmentkey: the key of an smc segment in one life of its memory file (smc/FORMAT 5).
 *
 * It is derived from the mount's master key (key=PATH, 32 bytes), or drawn by the first process
 * that maps the segment and inherited by fork only. Its check value in the lock file tells a wrong
 * key from the right one.
 *
 * The host sees salt and check value, which lead to no key. A host that changes them causes
 * -EKEYREJECTED.
 */
#ifndef SMC_SEGMENTKEY_H
#define SMC_SEGMENTKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/crypto/keys.h"

struct lockfile;
struct mount;

/* All zeros: not known yet. */
struct segmentkey {
	uint8_t bytes[KEYS_SIZE];
	bool is_known;
};

/*
 * Makes the key of a new segment of l, and its check value. Caller holds the recovery lock. Returns
 * 0 or -EIO, with a message.
 */
int segmentkey_create(struct segmentkey *k, struct lockfile *l, const struct mount *m);

/*
 * Finds the key of the segment that l has. Returns 0; -EACCES: this process has neither the drawn
 * key nor a master key; -EKEYREJECTED: the mount's master key is another one; -EIO; with a message.
 */
int segmentkey_find(struct segmentkey *k, const struct lockfile *l, const struct mount *m);

#endif
