#include "bench/stats.h"

#include <stdlib.h>
#include <string.h>

static int
compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void
stats_sort(uint64_t *samples, size_t count)
{
	qsort(samples, count, sizeof *samples, compare);
}

/* The smallest sample that at least percent % of all do not exceed. */
static uint64_t
nearest_rank(const uint64_t *sorted, size_t count, unsigned int percent)
{
	/* Split, so that no count of samples overflows the product. */
	size_t rank = count / 100 * percent + (count % 100 * percent + 99) / 100;

	return sorted[rank > 0 ? rank - 1 : 0];
}

void
stats_compute(struct stats *out, uint64_t *samples, size_t count)
{
	double sum = 0;

	memset(out, 0, sizeof *out);
	if (count == 0)
		return;
	stats_sort(samples, count);
	for (size_t i = 0; i < count; i++)
		sum += (double)samples[i];
	out->count = count;
	out->median = nearest_rank(samples, count, 50);
	out->p99 = nearest_rank(samples, count, 99);
	out->min = samples[0];
	out->max = samples[count - 1];
	out->mean = sum / (double)count;
}

double
stats_spread(const uint64_t *counts, size_t count)
{
	uint64_t least = UINT64_MAX, most = 0, sum = 0;

	for (size_t i = 0; i < count; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
		sum += counts[i];
	}
	return sum == 0 ? 0 : (double)(most - least) * (double)count / (double)sum;
}
