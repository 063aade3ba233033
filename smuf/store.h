/*
 * store: smuf's segments: sealed blocks in files of the host, for which the server keeps key, slots and tags (DESIGN 6).
 *
 * The server never sees a segment's bytes: clients read and write the files. It decides who holds a lock and which slot
 * of a block counts, and gives a holder what it needs to verify what it finds there.
 */
#ifndef SMUF_STORE_H
#define SMUF_STORE_H

#include "common/server/core/store.h"

extern const struct store_ops smuf_store;

#endif
