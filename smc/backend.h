/*
 * backend: the client of smc: memory files without a server, in files of the host. The host may
 * read these files and is trusted not to change them (DESIGN 1, smc/FORMAT 9).
 *
 * A process queues in the lock file (lockfile.h), brings its replica up to date from the segment
 * file (segment.h) with the segment's key (segmentkey.h), and publishes what it changed (commit.h).
 * Readers exclude each other here.
 */
#ifndef SMC_BACKEND_H
#define SMC_BACKEND_H

#include "common/client/backend.h"

extern const struct backend_ops smc_backend;

#endif
