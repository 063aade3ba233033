#include "bench/cost.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/section.h"
#include "common/base/clock.h"

enum {
	ESTIMATE_COUNT = 20, /* to find out how long one takes */
	WARM_UP_PERCENT = 20,
	SAMPLES_MOST = 5000,
	SAMPLES_LEAST = 100
};

#define TIME_EACH (CLOCK_SEC / 2) /* for one figure, roughly */

static int
measure_section(struct section *section, size_t changed, struct stats *out)
{
	static uint64_t samples[SAMPLES_MOST];
	uint64_t start = clock_now(), cost;
	size_t count = SAMPLES_MOST;
	int error;

	if ((error = section_measure(section, changed, samples, ESTIMATE_COUNT)) != 0)
		return error;
	cost = (clock_now() - start) / ESTIMATE_COUNT + 1;
	if (TIME_EACH / cost < count)
		count = TIME_EACH / cost;
	if (count < SAMPLES_LEAST)
		count = SAMPLES_LEAST;
	if ((error = section_measure(section, changed, samples, count * WARM_UP_PERCENT / 100)) !=
		0 ||
	    (error = section_measure(section, changed, samples, count)) != 0)
		return error;
	stats_compute(out, samples, count);
	return 0;
}

int
cost_mounted(const struct world *world, const struct world_kind *kind, size_t size, size_t changed,
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
		error = section_open_mounted(&section, sm, path, path, size);
	if (error == 0)
		error = measure_section(&section, changed, out);
	if (error != 0)
		warnx("%s: %s: %s", kind->type, strerror(-error), sm_error(sm));
	section_close(&section);
	sm_free(sm);
	return error;
}

int
cost_plain(const struct world *world, size_t size, size_t changed, struct stats *out)
{
	int error;
	struct section section = { .ops = NULL };
	char memory[sizeof world->directory + 16], lock[sizeof memory];

	snprintf(memory, sizeof memory, "%s/memory", world->directory);
	snprintf(lock, sizeof lock, "%s/lock", world->directory);
	if ((error = section_open_plain(&section, memory, lock, size, false)) == 0)
		error = measure_section(&section, changed, out);
	if (error != 0)
		warnx("fcntl and mmap: %s", strerror(-error));
	section_close(&section);
	return error;
}
