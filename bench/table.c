#include "bench/table.h"

#include <stdio.h>

#include "bench/cost.h"
#include "bench/output.h"
#include "bench/process.h"
#include "bench/stats.h"
#include "bench/watcher.h"
#include "common/base/size.h"

struct row {
	size_t size;
	size_t changed;
	struct stats mounted[WORLD_KINDS];
	struct stats plain;
};

struct table {
	bool is_json;
	int core; /* negative: not pinned */
	const struct world *world;
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
print_head(const struct table *table)
{
	char name[32];

	printf(
	    "One critical section (lock, change, unlock) in microseconds.\n"
	    "Servers: TLS with client certificates over unix sockets. All of it: %s.\n",
	    process_pin_text(table->core));
	for (size_t i = 0; i < WORLD_KINDS; i++)
		printf("%s: %s.\n", world_kinds[i].type, world_kinds[i].about);
	printf(
	    "fcntl + mmap: the kernel's own record lock and shared mapping.\n"
	    "Files of the host: in %s (%s).\n\n",
	    table->world->directory, world_file_system(table->world, name));
	printf("%8s  %8s", "", "");
	for (size_t i = 0; i < WORLD_KINDS; i++)
		printf("  %18s", world_kinds[i].type);
	printf("  %18s\n%8s  %8s", "fcntl + mmap", "segment", "changed");
	for (size_t i = 0; i < WORLD_KINDS + 1; i++)
		printf("  %9s%9s", "median", "99th %");
	putchar('\n');
}

static void
print_stats(const struct stats *stats)
{
	printf("  %9.1f%9.1f", (double)stats->median / 1e3, (double)stats->p99 / 1e3);
}

static void
print_text(const struct table *table)
{
	char words[OUTPUT_SIZE_TEXT];

	print_head(table);
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *row = &table->rows[i];

		printf("%8s  ", output_size_text(words, row->size));
		printf("%8s",
		    row->size == 0                ? "-" :
			row->changed == row->size ? "all" :
						    output_size_text(words, row->changed));
		for (size_t j = 0; j < WORLD_KINDS; j++)
			print_stats(&row->mounted[j]);
		print_stats(&row->plain);
		putchar('\n');
	}
}

static void
print_json(const struct table *table)
{
	char name[32];

	printf("{\"core\": %d, \"file_system\": ", table->core < 0 ? -1 : table->core);
	output_json_string(world_file_system(table->world, name));
	printf(", \"rows\": [");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *row = &table->rows[i];

		printf("%s\n  {\"segment\": %zu, \"changed\": %zu, ", i > 0 ? "," : "", row->size,
		    row->changed);
		for (size_t j = 0; j < WORLD_KINDS; j++) {
			printf("\"%s\": {", world_kinds[j].type);
			output_json_stats(&row->mounted[j]);
			printf("}, ");
		}
		printf("\"fcntl_mmap\": {");
		output_json_stats(&row->plain);
		printf("}}");
	}
	printf("\n]}\n");
}

static int
measure_row(struct row *row, const struct world *world)
{
	int error = 0;

	for (size_t i = 0; i < WORLD_KINDS && error == 0; i++)
		error = cost_mounted(world, &world_kinds[i], row->size, row->changed,
		    &row->mounted[i]);
	return error != 0 ? error : cost_plain(world, row->size, row->changed, &row->plain);
}

static int
measure(const struct world *world, void *arg)
{
	struct table *table = arg;

	table->world = world;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		output_progress(i, ROW_COUNT);
		if (measure_row(&table->rows[i], world) != 0)
			return 1;
	}
	output_progress(ROW_COUNT, ROW_COUNT);
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
	table.core = process_pin();
	return watcher_run(measure, &table);
}
