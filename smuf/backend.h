/*
 * backend: the client of smuf: sealed blocks in the host's files, and a server that says which of
 * them are current (smuf/FORMAT 3).
 *
 * A grant brings key, slots and tags. The client copies the blocks that it names in from the host,
 * opens them into the replica's shadow, and writes them to the program's mapping only when all of
 * them have verified. Otherwise acquiring fails with -EBADMSG (a block is not what was published)
 * or -EIO (the file cannot be read), the mapping is as it was, and the lock is released. A release
 * seals each changed block into the slot that is not current, and then tells the server slot and
 * tag: the server makes that slot current, and the bytes count from then on.
 *
 * A host that puts older files back, exchanges blocks or forges the lock file causes one of these
 * errors.
 */
#ifndef SMUF_BACKEND_H
#define SMUF_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smuf_backend;

#endif
