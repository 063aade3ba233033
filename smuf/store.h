/*
 * store: smuf's segments: sealed blocks in files of the host, whose keys, slots and tags the server
 * keeps (DESIGN 2, smuf/FORMAT 4).
 *
 * The server never sees the bytes of a segment: clients read and write the files. It decides which
 * client holds a lock and which slot of a block is current, and gives a holder the tags to verify
 * the blocks. A lying host can make blocks fail to verify and files vanish, but not make a client
 * accept other bytes.
 */
#ifndef SMUF_STORE_H
#define SMUF_STORE_H

#include "common/server/core/store.h"

extern const struct store_ops smuf_store;

#endif
