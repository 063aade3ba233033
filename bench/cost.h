/*
 * cost: what one critical section costs a process that has nobody to compete
 * with, in a world of its own: one figure in about half a second.
 *
 * Every figure has a connection and a memory file of its own, and is measured after a
 * warm-up.  Both functions return 0, or -errno after saying what is wrong.
 */
#ifndef BENCH_COST_H
#define BENCH_COST_H

#include <stddef.h>

#include "bench/stats.h"
#include "bench/world.h"

/* On the world's mount of a kind, with a segment of size bytes (0: none), of which so many change. */
int cost_mounted(const struct world *world, const struct world_kind *kind, size_t size,
    size_t changed, struct stats *out);

/* The same with a file's record lock and a shared mapping of the kernel. */
int cost_plain(const struct world *world, size_t size, size_t changed, struct stats *out);

#endif
