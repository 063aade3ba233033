#include "bench/table.h"

#include <stdio.h>

#include "bench/cost.h"
#include "bench/json.h"
#include "bench/pin.h"
#include "bench/progress.h"
#include "bench/stats.h"
#include "bench/words.h"
#include "bench/world.h"
#include "common/base/size.h"

struct row {
	size_t size;
	size_t changed;
	struct stats smdish;
	struct stats plain;
};

struct table {
	bool is_json;
	int core; /* negative: not pinned */
	struct row rows[9];
};

enum { ROW_COUNT = sizeof((struct table *)0)->rows / sizeof(struct row) };

static const size_t sizes[] = { 0, SIZE_KIB, 10 * SIZE_KIB, 100 * SIZE_KIB, SIZE_MIB };

static void
fill_in(struct table *table)
{
	struct row *row = table->rows;

	*row++ = (struct row){ .size = 0 };
	for (size_t i = 1; i < sizeof sizes / sizeof sizes[0]; i++) {
		*row++ = (struct row){ .size = sizes[i], .changed = 1 };
		*row++ = (struct row){ .size = sizes[i], .changed = sizes[i] };
	}
}

static void
print_text(const struct table *table)
{
	char words[WORDS_MOST];

	printf(
	    "One critical section (lock, change, unlock) in microseconds.\n"
	    "smdish: TLS with client certificates over a unix socket. fcntl + mmap: the kernel's\n"
	    "own record lock and shared mapping. Client and server: %s.\n\n",
	    pin_words(table->core));
	printf("%8s  %8s  %20s  %20s\n", "", "", "smdish", "fcntl + mmap");
	printf("%8s  %8s  %10s%10s  %10s%10s\n", "segment", "changed", "median", "99th %", "median",
	    "99th %");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *row = &table->rows[i];

		printf("%8s  ", words_size(words, row->size));
		printf("%8s  ",
		    row->size == 0                ? "-" :
			row->changed == row->size ? "all" :
						    words_size(words, row->changed));
		printf("%10.1f%10.1f  %10.1f%10.1f\n", (double)row->smdish.median / 1e3,
		    (double)row->smdish.p99 / 1e3, (double)row->plain.median / 1e3,
		    (double)row->plain.p99 / 1e3);
	}
}

static void
print_json(const struct table *table)
{
	printf("{\"core\": %d, \"rows\": [", table->core < 0 ? -1 : table->core);
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *row = &table->rows[i];

		printf("%s\n  {\"segment\": %zu, \"changed\": %zu, \"smdish\": {", i > 0 ? "," : "",
		    row->size, row->changed);
		json_stats(stdout, &row->smdish);
		printf("}, \"fcntl_mmap\": {");
		json_stats(stdout, &row->plain);
		printf("}}");
	}
	printf("\n]}\n");
}

static int
measure(const struct world *world, void *arg)
{
	struct table *table = arg;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		struct row *row = &table->rows[i];

		progress_show(i, ROW_COUNT);
		if (cost_smdish(world, row->size, row->changed, &row->smdish) != 0 ||
		    cost_plain(world, row->size, row->changed, &row->plain) != 0)
			return 1;
	}
	progress_show(ROW_COUNT, ROW_COUNT);
	if (table->is_json)
		print_json(table);
	else
		print_text(table);
	return 0;
}

int
table_run(bool is_json)
{
	struct table table = { .is_json = is_json };

	fill_in(&table);
	table.core = pin_core();
	return world_run(measure, &table);
}
