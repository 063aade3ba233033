/*
 * backend_core: an open memory file of smc; shared by backend.c and backend_map.c. Others include
 * backend.h.
 */
#ifndef SMC_BACKEND_CORE_H
#define SMC_BACKEND_CORE_H

#include <pthread.h>
#include <stdint.h>

#include "common/base/container.h"
#include "smc/backend.h"
#include "smc/lockfile.h"
#include "smc/segment.h"
#include "smc/segmentkey.h"

struct smc_file {
	struct backend_file base;
	const struct mount *mount;
	struct lockfile lockfile;
	pthread_mutex_t mutex;     /* of segment and fence; never held while waiting */
	pthread_mutex_t attaching; /* while a child becomes a user of the file */
	bool is_exclusive;         /* the lock that is held; of its holder */
	uint64_t fence;            /* of the section, for sm_grant(); 0: not drawn yet */
	struct segment *segment;   /* NULL until the file is mapped */
	struct segmentkey key;
};

static inline struct smc_file *
smc_file(struct backend_file *f)
{
	return container_of(f, struct smc_file, base);
}

/* Finds the segment of that size, or creates it, and opens it. The errors of sm_map(). */
int backend_map(struct smc_file *f, uint32_t size);

#endif
