/*
 * cost: the cost of one critical section, without competition, on each kind of memory file and on
 * plain files: a point of the table and of the plots.
 *
 * Each figure takes about half a second. It has a connection and a memory file of its own, and
 * comes after a warm-up.
 */
#ifndef BENCH_COST_H
#define BENCH_COST_H

#include <stddef.h>

#include "bench/stats.h"
#include "bench/world.h"

struct cost {
	size_t size;                       /* of the segment, bytes; 0: a pure lock */
	size_t changed;                    /* in each critical section, bytes */
	struct stats mounted[WORLD_KINDS]; /* on the world's mounts, nanoseconds */
	struct stats plain; /* the kernel's record lock and shared mapping, nanoseconds */
};

/*
 * Measures the figures of cost->size and cost->changed. Returns 0, or a negative errno after
 * printing the failure.
 */
int cost_measure(struct cost *cost, const struct world *world);

#endif
