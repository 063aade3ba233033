#include "bench/report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/output.h"
#include "bench/process.h"

enum { VERDICTS_MOST = REPORT_SECTIONS + 2 * REPORT_CONTESTS + REPORT_CROWDS };

/* A load of the last minute below this means that no other process used the machine. */
#define LOAD_QUIET 0.5

struct verdict {
	const struct world_kind *kind;
	const char *work;
	const char *aspect; /* of the work; or "" */
	const char *unit;
	double measured;
	double target;
};

struct verdicts {
	struct verdict list[VERDICTS_MOST];
	size_t count;
};

/* How many units a cost is, by medians. */
static double
ratio(const struct report *report, const struct stats *stats, enum ruler_kind unit)
{
	return (double)stats->median / (double)report->rulers[unit].median;
}

static double
mean_ratio(const struct report *report, const struct stats *stats, enum ruler_kind unit)
{
	return stats->mean / report->rulers[unit].mean;
}

/* --- verdicts ----------------------------------------------------------- */

static void
add(struct verdicts *v, struct verdict verdict)
{
	if (verdict.target == 0)
		return;
	assert(v->count < VERDICTS_MOST);
	v->list[v->count++] = verdict;
}

static void
add_section(struct verdicts *v, const struct report *r, size_t i)
{
	const struct report_section *row = r->sections[i].row;

	add(v,
	    (struct verdict){ .kind = row->kind,
		.work = row->work,
		.aspect = "",
		.unit = ruler_unit(row->unit),
		.measured = ratio(r, &r->sections[i].cost, row->unit),
		.target = row->target });
}

static void
add_contest(struct verdicts *v, const struct report *r, size_t i)
{
	const struct report_contest *row = r->contests[i].row;
	const struct contest_result *result = &r->contests[i].result;

	add(v,
	    (struct verdict){ .kind = row->kind,
		.work = row->plan.work,
		.aspect = ": handing it over",
		.unit = "round trips",
		.measured = ratio(r, &result->cost, RULER_ROUND_TRIP),
		.target = row->target });
	add(v,
	    (struct verdict){ .kind = row->kind,
		.work = row->plan.work,
		.aspect = ": shares",
		.unit = "% apart",
		.measured = result->spread * 100,
		.target = row->spread_target * 100 });
}

static void
add_crowd(struct verdicts *v, const struct report *r, size_t i)
{
	const struct report_crowd *row = r->crowds[i].row;

	add(v,
	    (struct verdict){ .kind = row->kind,
		.work = row->work,
		.aspect = "",
		.unit = "x without them",
		.measured = r->crowds[i].result.ratio,
		.target = row->target });
}

static void
find_verdicts(const struct report *r, struct verdicts *v)
{
	v->count = 0;
	for (size_t i = 0; i < r->section_count; i++)
		add_section(v, r, i);
	for (size_t i = 0; i < r->contest_count; i++)
		add_contest(v, r, i);
	for (size_t i = 0; i < r->crowd_count; i++)
		add_crowd(v, r, i);
}

static bool
is_met(const struct verdict *verdict)
{
	return verdict->measured <= verdict->target;
}

/* --- as text ------------------------------------------------------------ */

/* More digits for times below a microsecond. */
static void
print_stats(const char *name, const struct stats *stats)
{
	const int digits = stats->median < 1000 ? 3 : 2;

	printf("%-46s %10.*f %10.*f %10.*f", name, digits, (double)stats->median / 1e3, digits,
	    stats->mean / 1e3, digits, (double)stats->p99 / 1e3);
}

/* In round trips; the caller ends the line. */
static void
print_ratios(const struct report *r, const struct stats *stats)
{
	printf("  %11.2f (%6.2f)", ratio(r, stats, RULER_ROUND_TRIP),
	    mean_ratio(r, stats, RULER_ROUND_TRIP));
}

static void
print_rulers(const struct report *r)
{
	if (r->load >= LOAD_QUIET)
		printf("Others were using this machine (load %.1f): figures may be disturbed.\n\n",
		    r->load);
	printf(
	    "The ruler: OpenSSL and the kernel alone. Both ends of everything: %s.\n"
	    "Files of the host: in %s (%s).\n\n",
	    process_pin_text(r->core), r->files, r->file_system);
	printf("%-46s %10s %10s %10s  %s\n", "", "median us", "mean us", "99th % us",
	    "round trips (by means)");
	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++) {
		print_stats(ruler_name(kind), &r->rulers[kind]);
		print_ratios(r, &r->rulers[kind]);
		putchar('\n');
	}
}

/* A second line for a section whose unit is not the round trip. */
static void
print_in_unit(const struct report *r, const struct stats *cost, enum ruler_kind unit)
{
	printf("%-46s %s", "", ruler_unit(unit));
	if (unit == RULER_BULK_4K)
		printf(" in 4 KiB writes");
	printf(" %.2f (%.2f)", ratio(r, cost, unit), mean_ratio(r, cost, unit));
	if (unit == RULER_BULK_4K)
		printf(", in 16 KiB %.2f (%.2f)", ratio(r, cost, RULER_BULK_16K),
		    mean_ratio(r, cost, RULER_BULK_16K));
	putchar('\n');
}

static void
print_sections(const struct report *r, const struct world_kind *kind)
{
	char head[64];

	snprintf(head, sizeof head, "%s, one process", kind->type);
	printf("\n%-46s %10s %10s %10s  %s\n", head, "median us", "mean us", "99th % us",
	    "round trips (by means)");
	for (size_t i = 0; i < r->section_count; i++) {
		const struct report_section *row = r->sections[i].row;
		const struct stats *cost = &r->sections[i].cost;

		if (row->kind != kind)
			continue;
		print_stats(row->work, cost);
		print_ratios(r, cost);
		putchar('\n');
		if (row->unit != RULER_ROUND_TRIP)
			print_in_unit(r, cost, row->unit);
	}
}

static void
print_contests(const struct report *r, const struct world_kind *kind)
{
	char head[64];

	snprintf(head, sizeof head, "%s, all want one lock: to hand it over", kind->type);
	printf("\n%-46s %10s %10s %10s  %-23s %s\n", head, "median us", "mean us", "99th % us",
	    "round trips (by means)", "shares");
	for (size_t i = 0; i < r->contest_count; i++) {
		const struct report_contest *row = r->contests[i].row;
		const struct contest_result *result = &r->contests[i].result;

		if (row->kind != kind)
			continue;
		print_stats(row->plan.work, &result->cost);
		print_ratios(r, &result->cost);
		printf("    %" PRIu64 " to %" PRIu64 " in %zu s, %.2f %% apart\n", result->least,
		    result->most, row->plan.seconds, result->spread * 100);
	}
	printf(
	    "(shares: critical sections of each in one window, of %d windows the worst one;\n"
	    "apart: (most - least) / mean)\n",
	    CONTEST_WINDOWS);
}

static bool
has_crowds(const struct report *r, const struct world_kind *kind)
{
	for (size_t i = 0; i < r->crowd_count; i++)
		if (r->crowds[i].row->kind == kind)
			return true;
	return false;
}

static void
print_crowds(const struct report *r, const struct world_kind *kind)
{
	if (!has_crowds(r, kind))
		return;
	printf("\n%s, pure lock of one process beside others\n", kind->type);
	printf("%-46s %10s %10s %8s  %s\n", "", "without us", "with us", "ratio",
	    "of single rounds");
	for (size_t i = 0; i < r->crowd_count; i++) {
		const struct report_crowd *row = r->crowds[i].row;
		const struct crowd_result *result = &r->crowds[i].result;

		if (row->kind == kind)
			printf("%-46s %10.2f %10.2f %8.2f  %.2f to %.2f, of %zu\n", row->work,
			    (double)result->alone.median / 1e3,
			    (double)result->crowded.median / 1e3, result->ratio,
			    result->ratio_least, result->ratio_most, row->plan.rounds);
	}
}

static void
print_verdicts(const struct verdicts *v, const struct world_kind *kind)
{
	char name[64];

	printf("\n%-46s %8s %8s  %-15s %s\n", kind->type, "measured", "at most", "", "verdict");
	for (size_t i = 0; i < v->count; i++) {
		const struct verdict *verdict = &v->list[i];

		if (verdict->kind != kind)
			continue;
		snprintf(name, sizeof name, "%s%s", verdict->work, verdict->aspect);
		printf("%-46s %8.2f %8.2f  %-15s ", name, verdict->measured, verdict->target,
		    verdict->unit);
		if (is_met(verdict))
			printf("met\n");
		else
			printf("missed by %.1f %%\n",
			    (verdict->measured / verdict->target - 1) * 100);
	}
}

void
report_print(const struct report *r)
{
	struct verdicts v;

	find_verdicts(r, &v);
	print_rulers(r);
	for (size_t i = 0; i < WORLD_KINDS; i++) {
		print_sections(r, &world_kinds[i]);
		print_contests(r, &world_kinds[i]);
		print_crowds(r, &world_kinds[i]);
	}
	for (size_t i = 0; i < WORLD_KINDS; i++)
		print_verdicts(&v, &world_kinds[i]);
}

/* --- as JSON ------------------------------------------------------------ */

/* Begins an element of a list. kind is NULL for a ruler. */
static void
json_begin(const struct world_kind *kind, const char *work, size_t index)
{
	printf("%s\n  {", index > 0 ? "," : "");
	if (kind != NULL)
		printf("\"server\": \"%s\", ", kind->type);
	printf("\"work\": ");
	output_json_string(work);
	printf(", ");
}

static void
json_costs(const struct report *r, const struct stats *cost)
{
	printf("\"round_trips\": %.3f, \"round_trips_by_means\": %.3f, ",
	    ratio(r, cost, RULER_ROUND_TRIP), mean_ratio(r, cost, RULER_ROUND_TRIP));
	output_json_stats(cost);
	printf("}");
}

static void
json_rulers(const struct report *r)
{
	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++) {
		json_begin(NULL, ruler_name(kind), kind);
		json_costs(r, &r->rulers[kind]);
	}
}

static void
json_sections(const struct report *r)
{
	for (size_t i = 0; i < r->section_count; i++) {
		json_begin(r->sections[i].row->kind, r->sections[i].row->work, i);
		json_costs(r, &r->sections[i].cost);
	}
}

static void
json_contests(const struct report *r)
{
	for (size_t i = 0; i < r->contest_count; i++) {
		const struct contest_result *result = &r->contests[i].result;

		json_begin(r->contests[i].row->kind, r->contests[i].row->plan.work, i);
		printf("\"spread\": %.5f, \"least\": %" PRIu64 ", \"most\": %" PRIu64 ", ",
		    result->spread, result->least, result->most);
		json_costs(r, &result->cost);
	}
}

static void
json_crowds(const struct report *r)
{
	for (size_t i = 0; i < r->crowd_count; i++) {
		const struct crowd_result *result = &r->crowds[i].result;

		json_begin(r->crowds[i].row->kind, r->crowds[i].row->work, i);
		printf("\"ratio\": %.3f, \"ratio_least\": %.3f, \"ratio_most\": %.3f, \"alone\": {",
		    result->ratio, result->ratio_least, result->ratio_most);
		output_json_stats(&result->alone);
		printf("}, \"crowded\": {");
		output_json_stats(&result->crowded);
		printf("}}");
	}
}

static void
json_verdicts(const struct report *r)
{
	struct verdicts v;
	char name[64];

	find_verdicts(r, &v);
	for (size_t i = 0; i < v.count; i++) {
		const struct verdict *verdict = &v.list[i];

		snprintf(name, sizeof name, "%s%s", verdict->work, verdict->aspect);
		json_begin(verdict->kind, name, i);
		printf("\"unit\": ");
		output_json_string(verdict->unit);
		printf(", \"measured\": %.4f, \"target\": %.2f, \"met\": %s}", verdict->measured,
		    verdict->target, is_met(verdict) ? "true" : "false");
	}
}

void
report_print_json(const struct report *r)
{
	printf("{\"core\": %d, \"load\": %.2f, \"file_system\": ", r->core < 0 ? -1 : r->core,
	    r->load);
	output_json_string(r->file_system);
	printf(", \"ruler\": [");
	json_rulers(r);
	printf("\n], \"sections\": [");
	json_sections(r);
	printf("\n], \"contests\": [");
	json_contests(r);
	printf("\n], \"growth\": [");
	json_crowds(r);
	printf("\n], \"rows\": [");
	json_verdicts(r);
	printf("\n]}\n");
}
