/*
 * backend: the smdish client. Segments travel as plain deltas (PROTOCOL 5.7): the connection's TLS
 * alone hides them from the host.
 */
#ifndef SMDISH_BACKEND_H
#define SMDISH_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smdish_backend;

#endif
