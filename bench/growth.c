#include "bench/growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

enum { BATCH = 3000, WARM_UP_BATCH = 100 };

/* Long enough for the server to be done with all who have just come or gone. */
#define SETTLE_TIME (CLOCK_SEC / 4)

struct samples {
	uint64_t alone[GROWTH_ROUNDS * BATCH];
	uint64_t crowded[GROWTH_ROUNDS * BATCH];
};

static int
measure_settled(struct section *section, uint64_t *samples)
{
	const uint64_t end = clock_now() + SETTLE_TIME;
	int error;

	/* What is not counted is written over by what is. */
	do
		if ((error = section_measure(section, 0, samples, WARM_UP_BATCH)) != 0)
			return error;
	while (clock_now() < end);
	return section_measure(section, 0, samples, BATCH);
}

static double
median_ratio(uint64_t *crowded, uint64_t *alone, size_t count)
{
	struct stats c, a;

	stats_compute(&c, crowded, count);
	stats_compute(&a, alone, count);
	return (double)c.median / (double)a.median;
}

static void
tell(struct growth_result *out, struct samples *s)
{
	for (size_t i = 0; i < GROWTH_ROUNDS; i++) {
		double ratio = median_ratio(s->crowded + i * BATCH, s->alone + i * BATCH, BATCH);

		if (i == 0 || ratio < out->ratio_least)
			out->ratio_least = ratio;
		if (i == 0 || ratio > out->ratio_most)
			out->ratio_most = ratio;
	}
	stats_compute(&out->alone, s->alone, GROWTH_ROUNDS * BATCH);
	stats_compute(&out->crowded, s->crowded, GROWTH_ROUNDS * BATCH);
	out->ratio = (double)out->crowded.median / (double)out->alone.median;
}

int
growth_measure(struct growth_result *out, struct section *section, struct crowd *crowd)
{
	struct samples *s = calloc(1, sizeof *s);
	int error = 0;

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < GROWTH_ROUNDS; i++)
		if ((error = measure_settled(section, s->alone + i * BATCH)) != 0 ||
		    (error = crowd_gather(crowd)) != 0 ||
		    (error = measure_settled(section, s->crowded + i * BATCH)) != 0 ||
		    (error = crowd_dismiss(crowd)) != 0)
			goto out;
	tell(out, s);
out:
	free(s);
	return error;
}
