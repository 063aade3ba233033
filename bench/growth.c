#include "bench/growth.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { BATCH = 3000, WARM_UP_BATCH = 100 };

/* Long enough for the server to be done with all who have just come or gone. */
#define SETTLE_TIME (CLOCK_SEC / 4)

struct samples {
	uint64_t alone[(GROWTH_ROUNDS_MOST + 1) * BATCH];
	uint64_t crowded[GROWTH_ROUNDS_MOST * BATCH];
};

static int
measure_settled(struct section *section, uint64_t *samples)
{
	uint64_t end;
	int error;

	/* What a disk has yet to be told of files that were just made or removed would be measured, too. */
	sync();
	end = clock_now() + SETTLE_TIME;
	/* What is not counted is written over by what is. */
	do
		if ((error = section_measure(section, 0, samples, WARM_UP_BATCH)) != 0)
			return error;
	while (clock_now() < end);
	return section_measure(section, 0, samples, BATCH);
}

static uint64_t
median(uint64_t *samples, size_t count)
{
	struct stats stats;

	stats_compute(&stats, samples, count);
	return stats.median;
}

static void
tell(struct growth_result *out, struct samples *s, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		double ratio = (double)median(s->crowded + i * BATCH, BATCH) /
		    (double)median(s->alone + i * BATCH, BATCH);

		if (i == 0 || ratio < out->ratio_least)
			out->ratio_least = ratio;
		if (i == 0 || ratio > out->ratio_most)
			out->ratio_most = ratio;
	}
	out->rounds = rounds;
	stats_compute(&out->alone, s->alone, (rounds + 1) * BATCH);
	stats_compute(&out->crowded, s->crowded, rounds * BATCH);
	out->ratio = (double)out->crowded.median / (double)out->alone.median;
}

int
growth_measure(struct growth_result *out, struct section *section, struct crowd *crowd,
    size_t rounds)
{
	struct samples *s = calloc(1, sizeof *s);
	int error;

	assert(rounds > 0 && rounds <= GROWTH_ROUNDS_MOST);
	if (s == NULL)
		return -ENOMEM;
	error = measure_settled(section, s->alone);
	for (size_t i = 0; i < rounds && error == 0; i++)
		if ((error = crowd_gather(crowd)) == 0 &&
		    (error = measure_settled(section, s->crowded + i * BATCH)) == 0 &&
		    (error = crowd_dismiss(crowd)) == 0)
			error = measure_settled(section, s->alone + (i + 1) * BATCH);
	if (error == 0)
		tell(out, s, rounds);
	free(s);
	return error;
}
