/*
 * store: smdish's segments, in the memory of the server (DESIGN 2 and DESIGN 3).
 *
 * The server process alone is trusted: in an enclave the host can neither read nor change its
 * memory. A segment is a region (region.h), committed as its blocks are published. Deltas are those
 * of common/wire/delta.h.
 */
#ifndef SMDISH_STORE_H
#define SMDISH_STORE_H

#include "common/server/core/store.h"

extern const struct store_ops smdish_store;

#endif
