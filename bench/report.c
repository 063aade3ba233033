#include "bench/report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/output.h"
#include "bench/process.h"

enum { VERDICTS_MOST = REPORT_SECTIONS + 2 * REPORT_CONTESTS + REPORT_GROWTHS };

/* The load of the last minute; with less than this the machine was ours. */
#define LOAD_QUIET 0.5

struct verdict {
	const struct world_kind *kind;
	const char *work;
	const char *aspect; /* of it; or "" */
	const char *unit;
	double measured;
	double target;
};

struct verdicts {
	struct verdict list[VERDICTS_MOST];
	size_t count;
};

/* How many units a thing costs: by medians, which the verdict goes by, and by means. */
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
	assert(v->count < VERDICTS_MOST);
	v->list[v->count++] = verdict;
}

static void
find_verdicts(const struct report *r, struct verdicts *v)
{
	v->count = 0;
	for (size_t i = 0; i < r->section_count; i++)
		if (r->sections[i].target > 0)
			add(v,
			    (struct verdict){ r->sections[i].kind, r->sections[i].work, "",
				ruler_unit(r->sections[i].unit),
				ratio(r, &r->sections[i].cost, r->sections[i].unit),
				r->sections[i].target });
	for (size_t i = 0; i < r->contest_count; i++) {
		const struct contest_result *result = &r->contests[i].result;

		if (r->contests[i].target > 0)
			add(v,
			    (struct verdict){ r->contests[i].kind, r->contests[i].work,
				": handing it over", "round trips",
				ratio(r, &result->cost, RULER_ROUND_TRIP), r->contests[i].target });
		if (r->contests[i].spread_target > 0)
			add(v,
			    (struct verdict){ r->contests[i].kind, r->contests[i].work, ": shares",
				"% apart", result->spread * 100,
				r->contests[i].spread_target * 100 });
	}
	for (size_t i = 0; i < r->growth_count; i++)
		add(v,
		    (struct verdict){ r->growths[i].kind, r->growths[i].work, "", "x without them",
			r->growths[i].result.ratio, r->growths[i].target });
}

static bool
is_met(const struct verdict *verdict)
{
	return verdict->measured <= verdict->target;
}

/* --- in words ----------------------------------------------------------- */

/* Nanoseconds where a microsecond is long. */
static void
print_stats(const char *name, const struct stats *stats)
{
	const int digits = stats->median < 1000 ? 3 : 2;

	printf("%-46s %10.*f %10.*f %10.*f", name, digits, (double)stats->median / 1e3, digits,
	    stats->mean / 1e3, digits, (double)stats->p99 / 1e3);
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
		printf("  %11.2f (%6.2f)\n", ratio(r, &r->rulers[kind], RULER_ROUND_TRIP),
		    mean_ratio(r, &r->rulers[kind], RULER_ROUND_TRIP));
	}
}

/* A section in a unit of its own. */
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
		const struct stats *cost = &r->sections[i].cost;

		if (r->sections[i].kind != kind)
			continue;
		print_stats(r->sections[i].work, cost);
		printf("  %11.2f (%6.2f)\n", ratio(r, cost, RULER_ROUND_TRIP),
		    mean_ratio(r, cost, RULER_ROUND_TRIP));
		if (r->sections[i].unit != RULER_ROUND_TRIP)
			print_in_unit(r, cost, r->sections[i].unit);
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
		const struct contest_result *result = &r->contests[i].result;

		if (r->contests[i].kind != kind)
			continue;
		print_stats(r->contests[i].work, &result->cost);
		printf("  %11.2f (%6.2f)    %" PRIu64 " to %" PRIu64 " in %zu s, %.2f %% apart\n",
		    ratio(r, &result->cost, RULER_ROUND_TRIP),
		    mean_ratio(r, &result->cost, RULER_ROUND_TRIP), result->least, result->most,
		    r->contests[i].seconds, result->spread * 100);
	}
	printf(
	    "(shares: critical sections of each in one window, of %d windows the worst one;\n"
	    "apart: (most - least) / mean)\n",
	    CONTEST_WINDOWS);
}

static bool
has_growths(const struct report *r, const struct world_kind *kind)
{
	for (size_t i = 0; i < r->growth_count; i++)
		if (r->growths[i].kind == kind)
			return true;
	return false;
}

static void
print_growths(const struct report *r, const struct world_kind *kind)
{
	if (!has_growths(r, kind))
		return;
	printf("\n%s, pure lock of one process beside others\n", kind->type);
	printf("%-46s %10s %10s %8s  %s\n", "", "without us", "with us", "ratio",
	    "of single rounds");
	for (size_t i = 0; i < r->growth_count; i++) {
		const struct crowd_result *result = &r->growths[i].result;

		if (r->growths[i].kind == kind)
			printf("%-46s %10.2f %10.2f %8.2f  %.2f to %.2f, of %zu\n",
			    r->growths[i].work, (double)result->alone.median / 1e3,
			    (double)result->crowded.median / 1e3, result->ratio,
			    result->ratio_least, result->ratio_most, r->growths[i].rounds);
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
	for (const struct world_kind *kind = world_kinds; kind < world_kinds + WORLD_KINDS;
	     kind++) {
		print_sections(r, kind);
		print_contests(r, kind);
		print_growths(r, kind);
	}
	for (const struct world_kind *kind = world_kinds; kind < world_kinds + WORLD_KINDS; kind++)
		print_verdicts(&v, kind);
}

/* --- for machines ------------------------------------------------------- */

/* kind: NULL if it is about none. */
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
}

static void
json_verdicts(const struct verdicts *v)
{
	char name[64];

	for (size_t i = 0; i < v->count; i++) {
		const struct verdict *verdict = &v->list[i];

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
	struct verdicts v;

	find_verdicts(r, &v);
	printf("{\"core\": %d, \"load\": %.2f, \"file_system\": ", r->core < 0 ? -1 : r->core,
	    r->load);
	output_json_string(r->file_system);
	printf(", \"ruler\": [");
	for (enum ruler_kind kind = 0; kind < RULER_KINDS; kind++) {
		json_begin(NULL, ruler_name(kind), kind);
		json_costs(r, &r->rulers[kind]);
		printf("}");
	}
	printf("\n], \"sections\": [");
	for (size_t i = 0; i < r->section_count; i++) {
		json_begin(r->sections[i].kind, r->sections[i].work, i);
		json_costs(r, &r->sections[i].cost);
		printf("}");
	}
	printf("\n], \"contests\": [");
	for (size_t i = 0; i < r->contest_count; i++) {
		const struct contest_result *result = &r->contests[i].result;

		json_begin(r->contests[i].kind, r->contests[i].work, i);
		printf("\"spread\": %.5f, \"least\": %" PRIu64 ", \"most\": %" PRIu64 ", ",
		    result->spread, result->least, result->most);
		json_costs(r, &result->cost);
		printf("}");
	}
	printf("\n], \"growth\": [");
	for (size_t i = 0; i < r->growth_count; i++) {
		const struct crowd_result *result = &r->growths[i].result;

		json_begin(r->growths[i].kind, r->growths[i].work, i);
		printf("\"ratio\": %.3f, \"ratio_least\": %.3f, \"ratio_most\": %.3f, \"alone\": {",
		    result->ratio, result->ratio_least, result->ratio_most);
		output_json_stats(&result->alone);
		printf("}, \"crowded\": {");
		output_json_stats(&result->crowded);
		printf("}}");
	}
	printf("\n], \"rows\": [");
	json_verdicts(&v);
	printf("\n]}\n");
}
