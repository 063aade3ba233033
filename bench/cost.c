#include "bench/cost.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/section.h"
#include "common/base/clock.h"

enum {
	ESTIMATE_COUNT = 20, /* sections that tell how long one takes */
	WARM_UP_PERCENT = 20,
	SAMPLES_MOST = 5000,
	SAMPLES_LEAST = 100
};

#define TIME_EACH (CLOCK_SEC / 2) /* for one figure, roughly */

static int
measure_section(struct section *section, size_t changed, struct stats *out)
{
	static uint64_t samples[SAMPLES_MOST];
	uint64_t start = clock_now(), estimate;
	size_t count = SAMPLES_MOST;
	int error;

	if ((error = section_measure(section, changed, samples, ESTIMATE_COUNT)) != 0)
		return error;
	estimate = (clock_now() - start) / ESTIMATE_COUNT + 1;
	if (TIME_EACH / estimate < count)
		count = TIME_EACH / estimate;
	if (count < SAMPLES_LEAST)
		count = SAMPLES_LEAST;
	error = section_measure(section, changed, samples, count * WARM_UP_PERCENT / 100);
	if (error == 0)
		error = section_measure(section, changed, samples, count);
	if (error == 0)
		stats_compute(out, samples, count);
	return error;
}

static int
measure_mounted(const struct cost *cost, const struct world *world, const struct world_kind *kind,
    struct stats *out)
{
	char path[64];
	int error = 0;
	struct section section = { .ops = NULL };
	struct sm *sm = sm_new();

	snprintf(path, sizeof path, "%s/cost", kind->path);
	if (sm == NULL)
		error = -ENOMEM;
	else if (sm_load(sm, world->conf) == -1)
		error = -errno;
	if (error == 0)
		error = section_open_mounted(&section, sm, path, path, cost->size);
	if (error == 0)
		error = measure_section(&section, cost->changed, out);
	if (error != 0)
		warnx("%s: %s: %s", kind->type, strerror(-error), sm_error(sm));
	section_close(&section);
	sm_free(sm);
	return error;
}

static int
measure_plain(const struct cost *cost, const struct world *world, struct stats *out)
{
	char memory[PATH_MAX], lock[PATH_MAX];
	int error;
	struct section section = { .ops = NULL };

	world_path(world, memory, "memory", "");
	world_path(world, lock, "lock", "");
	if ((error = section_open_plain(&section, memory, lock, cost->size, false)) == 0)
		error = measure_section(&section, cost->changed, out);
	if (error != 0)
		warnx("fcntl and mmap: %s", strerror(-error));
	section_close(&section);
	return error;
}

int
cost_measure(struct cost *cost, const struct world *world)
{
	int error = 0;

	for (size_t i = 0; i < WORLD_KINDS && error == 0; i++)
		error = measure_mounted(cost, world, &world_kinds[i], &cost->mounted[i]);
	return error != 0 ? error : measure_plain(cost, world, &cost->plain);
}
