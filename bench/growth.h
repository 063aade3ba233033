/*
 * growth: whether a critical section costs more when there is more of
 * everything around it: the same section is measured without a crowd and with one,
 * in turn, in one round or several, and without one once more.
 */
#ifndef BENCH_GROWTH_H
#define BENCH_GROWTH_H

#include "bench/crowd.h"
#include "bench/section.h"
#include "bench/stats.h"

enum { GROWTH_ROUNDS_MOST = 4 };

struct growth_result {
	size_t rounds;
	struct stats alone; /* nanoseconds */
	struct stats crowded;
	double ratio;       /* of the medians of all rounds: crowded / alone */
	double ratio_least; /* of the medians of single rounds */
	double ratio_most;
};

/*
 * section is a lock that nobody else uses.  rounds is 1 to GROWTH_ROUNDS_MOST.  -errno; -EPIPE when the crowd failed,
 * which it says.
 */
int growth_measure(struct growth_result *out, struct section *section, struct crowd *crowd,
    size_t rounds);

#endif
