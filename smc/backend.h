/*
 * backend: the client of smc: memory files without a server, in files of the host that everybody
 * may read and nobody tampers with (DESIGN 3, 7).
 *
 * A process queues in the lock file (lockfile.h), brings its replica up to date from the segment
 * file (segment.h) and publishes what it changed (commit.h). Readers exclude each other here.
 *
 * The segment's key is derived from the mount's master key (key=PATH, 32 bytes), or drawn by who
 * maps it first and inherited by fork only. Its check value in the lock file tells a wrong key from
 * the right one.
 */
#ifndef SMC_BACKEND_H
#define SMC_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smc_backend;

#endif
