#include "bench/plot.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/cost.h"
#include "bench/output.h"
#include "bench/process.h"
#include "bench/ruler.h"
#include "bench/stats.h"
#include "bench/watcher.h"
#include "common/base/size.h"

enum { PASSES = 3, ROUND_TRIPS = 5000 };

/* Powers of four: equal distances on a logarithmic axis. */
static const size_t sizes[] = { 0, SIZE_KIB, 4 * SIZE_KIB, 16 * SIZE_KIB, 64 * SIZE_KIB,
	256 * SIZE_KIB, SIZE_MIB };
static const size_t changes[] = { 1, 16, 256, 4 * SIZE_KIB, 16 * SIZE_KIB, 64 * SIZE_KIB,
	256 * SIZE_KIB, SIZE_MIB };

enum {
	SIZE_COUNT = sizeof sizes / sizeof sizes[0],
	CHANGE_COUNT = sizeof changes / sizeof changes[0],
	/* One byte and all for each size. Two points of 1 MiB are measured twice for simplicity. */
	POINT_COUNT = 2 * SIZE_COUNT + CHANGE_COUNT
};

/* A point of the plots, with the median of each pass in nanoseconds. */
struct point {
	size_t size;
	size_t changed;
	uint64_t mounted[WORLD_KINDS][PASSES];
	uint64_t plain[PASSES];
};

struct plot {
	const char *directory;
	struct point points[POINT_COUNT];
	uint64_t round_trip[PASSES];
};

static void
plan_points(struct plot *plot)
{
	struct point *point = plot->points;

	for (size_t i = 0; i < SIZE_COUNT; i++) {
		*point++ = (struct point){ .size = sizes[i], .changed = sizes[i] > 0 };
		*point++ = (struct point){ .size = sizes[i], .changed = sizes[i] };
	}
	for (size_t i = 0; i < CHANGE_COUNT; i++)
		*point++ = (struct point){ .size = SIZE_MIB, .changed = changes[i] };
}

/* --- measuring ---------------------------------------------------------- */

static int
measure_round_trip(struct ruler *ruler, uint64_t *out)
{
	static uint64_t samples[ROUND_TRIPS];
	struct stats stats;
	int error = ruler_measure(ruler, samples, ROUND_TRIPS);

	if (error != 0) {
		warnx("%s: %s", ruler_name(RULER_ROUND_TRIP), strerror(-error));
		return error;
	}
	stats_compute(&stats, samples, ROUND_TRIPS);
	*out = stats.median;
	return 0;
}

static int
measure_point(struct point *point, const struct world *world, size_t pass)
{
	struct cost cost = { .size = point->size, .changed = point->changed };
	int error = cost_measure(&cost, world);

	if (error != 0)
		return error;
	for (size_t i = 0; i < WORLD_KINDS; i++)
		point->mounted[i][pass] = cost.mounted[i].median;
	point->plain[pass] = cost.plain.median;
	return 0;
}

static int
measure_pass(struct plot *plot, const struct world *world, struct ruler *ruler, size_t pass)
{
	int error = measure_round_trip(ruler, &plot->round_trip[pass]);

	for (size_t i = 0; i < POINT_COUNT && error == 0; i++) {
		output_progress(pass * POINT_COUNT + i, PASSES * POINT_COUNT);
		error = measure_point(&plot->points[i], world, pass);
	}
	return error;
}

static int
measure_all(struct plot *plot, const struct world *world)
{
	struct ruler *ruler = NULL;
	int error = ruler_create(&ruler, RULER_ROUND_TRIP);

	if (error != 0)
		warnx("%s: %s", ruler_name(RULER_ROUND_TRIP), strerror(-error));
	for (size_t pass = 0; pass < PASSES && error == 0; pass++)
		error = measure_pass(plot, world, ruler, pass);
	output_progress(1, 1);
	ruler_destroy(ruler);
	return error;
}

/* --- writing ------------------------------------------------------------ */

/* The median of all passes, in microseconds. */
static double
micros(const uint64_t passes[PASSES])
{
	uint64_t copy[PASSES];
	struct stats stats;

	memcpy(copy, passes, sizeof copy);
	stats_compute(&stats, copy, PASSES);
	return (double)stats.median / 1e3;
}

static void
write_head(FILE *file, const char *text)
{
	fprintf(file, "# %s: fcntl + mmap", text);
	for (size_t i = 0; i < WORLD_KINDS; i++)
		fprintf(file, ", %s", world_kinds[i].type);
	fputc('\n', file);
}

static void
write_sizes(FILE *file, const struct plot *plot)
{
	char text[OUTPUT_SIZE_TEXT];

	write_head(file, "segment, bytes, us, one byte and all");
	for (size_t i = 0; i < SIZE_COUNT; i++) {
		const struct point *one = &plot->points[2 * i], *all = one + 1;

		fprintf(file, "\"%s\" %zu %.3f %.3f", output_size_text(text, one->size), one->size,
		    micros(one->plain), micros(all->plain));
		for (size_t j = 0; j < WORLD_KINDS; j++)
			fprintf(file, " %.3f %.3f", micros(one->mounted[j]),
			    micros(all->mounted[j]));
		fputc('\n', file);
	}
}

static void
write_changes(FILE *file, const struct plot *plot)
{
	char text[OUTPUT_SIZE_TEXT];

	write_head(file, "changed, bytes, us");
	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		const struct point *point = &plot->points[2 * SIZE_COUNT + i];

		fprintf(file, "\"%s\" %zu %.3f", output_size_text(text, point->changed),
		    point->changed, micros(point->plain));
		for (size_t j = 0; j < WORLD_KINDS; j++)
			fprintf(file, " %.3f", micros(point->mounted[j]));
		fputc('\n', file);
	}
}

static void
write_run(FILE *file, const struct plot *plot)
{
	fprintf(file, "round_trip = %.3f\n", micros(plot->round_trip));
}

static int
write_file(const struct plot *plot, const char *name, void (*write)(FILE *, const struct plot *))
{
	char path[PATH_MAX];
	int error = 0;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", plot->directory, name);
	if ((file = fopen(path, "w")) == NULL) {
		error = -errno;
	} else {
		write(file, plot);
		if (ferror(file) | fclose(file))
			error = -EIO;
	}
	if (error != 0)
		warn("%s", path);
	return error;
}

/* --- the run ------------------------------------------------------------ */

static int
measure(const struct world *world, void *arg)
{
	struct plot *plot = arg;

	/* OpenSSL writes to the ruler's socket with write(2). */
	signal(SIGPIPE, SIG_IGN);
	if (measure_all(plot, world) != 0 || write_file(plot, "size.dat", write_sizes) != 0 ||
	    write_file(plot, "changed.dat", write_changes) != 0 ||
	    write_file(plot, "run.gp", write_run) != 0)
		return 1;
	return 0;
}

int
plot_run(const char *directory)
{
	struct plot plot = { .directory = directory };

	/* Find out before measuring. */
	if (access(directory, W_OK | X_OK) == -1) {
		warn("%s", directory);
		return 1;
	}
	plan_points(&plot);
	process_pin();
	return watcher_run(measure, &plot);
}
