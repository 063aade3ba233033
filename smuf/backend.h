/*
 * backend: the client of smuf: sealed blocks in the host's files, and a server that says which of
 * them count.
 *
 * A grant brings key, slots and tags. The blocks it names are copied in from the host, opened into
 * the replica's shadow, and reach the program's mapping only when all of them have verified: else
 * -EBADMSG (a block is not what was published) or -EIO (the file cannot be read), the mapping as it
 * was, and the lock given back. A release seals each changed block into the slot that is not
 * current, and then tells the server slot and tag; what was sealed counts from then on, and not
 * before.
 *
 * A host that goes back to yesterday's files, exchanges blocks or forges the lock file achieves one
 * of these errors.
 */
#ifndef SMUF_BACKEND_H
#define SMUF_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smuf_backend;

#endif
