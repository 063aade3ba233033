#include "bench/table.h"

#include <stdio.h>

#include "bench/cost.h"
#include "bench/output.h"
#include "bench/process.h"
#include "bench/watcher.h"
#include "common/base/size.h"

enum { ROW_COUNT = 9 };

struct table {
	bool is_json;
	int core; /* negative: not pinned */
	const struct world *world;
	struct cost rows[ROW_COUNT];
};

/* A pure lock, then each size with one byte and with all bytes changed. */
static void
plan_rows(struct table *table)
{
	static const size_t sizes[] = { SIZE_KIB, 10 * SIZE_KIB, 100 * SIZE_KIB, SIZE_MIB };
	struct cost *row = table->rows;

	_Static_assert(ROW_COUNT == 1 + 2 * (sizeof sizes / sizeof sizes[0]), "a row for each");
	*row++ = (struct cost){ .size = 0 };
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		*row++ = (struct cost){ .size = sizes[i], .changed = 1 };
		*row++ = (struct cost){ .size = sizes[i], .changed = sizes[i] };
	}
}

/* --- printing ----------------------------------------------------------- */

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
print_row(const struct cost *row)
{
	char text[OUTPUT_SIZE_TEXT];

	printf("%8s  ", output_size_text(text, row->size));
	if (row->size == 0)
		printf("%8s", "-");
	else if (row->changed == row->size)
		printf("%8s", "all");
	else
		printf("%8s", output_size_text(text, row->changed));
	for (size_t i = 0; i < WORLD_KINDS; i++)
		print_stats(&row->mounted[i]);
	print_stats(&row->plain);
	putchar('\n');
}

static void
print_json_row(const struct cost *row)
{
	printf("\n  {\"segment\": %zu, \"changed\": %zu, ", row->size, row->changed);
	for (size_t i = 0; i < WORLD_KINDS; i++) {
		printf("\"%s\": {", world_kinds[i].type);
		output_json_stats(&row->mounted[i]);
		printf("}, ");
	}
	printf("\"fcntl_mmap\": {");
	output_json_stats(&row->plain);
	printf("}}");
}

static void
print_text(const struct table *table)
{
	print_head(table);
	for (size_t i = 0; i < ROW_COUNT; i++)
		print_row(&table->rows[i]);
}

static void
print_json(const struct table *table)
{
	char name[32];

	printf("{\"core\": %d, \"file_system\": ", table->core < 0 ? -1 : table->core);
	output_json_string(world_file_system(table->world, name));
	printf(", \"rows\": [");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (i > 0)
			putchar(',');
		print_json_row(&table->rows[i]);
	}
	printf("\n]}\n");
}

/* --- the run ------------------------------------------------------------ */

static int
measure(const struct world *world, void *arg)
{
	struct table *table = arg;

	table->world = world;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		output_progress(i, ROW_COUNT);
		if (cost_measure(&table->rows[i], world) != 0)
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

	plan_rows(&table);
	table.core = process_pin();
	return watcher_run(measure, &table);
}
