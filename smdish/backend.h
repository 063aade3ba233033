/*
 * backend: the smdish client: what the server has goes in plain deltas (DESIGN 5) over the
 * connection, which is all that keeps it from the host.
 */
#ifndef SMDISH_BACKEND_H
#define SMDISH_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smdish_backend;

#endif
