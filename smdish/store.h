/*
 * store: smdish's segments, in the memory of the server (DESIGN 1, 5).
 *
 * The server process is all that is trusted: in an enclave the host cannot see or change what is here.
 * A segment is a region, committed block by block as it is published.
 */
#ifndef SMDISH_STORE_H
#define SMDISH_STORE_H

#include "common/server/core/store.h"

extern const struct store_ops smdish_store;

#endif
