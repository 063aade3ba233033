/*
 * report: the measurements of `smbench --targets`, as text and as JSON.
 *
 * The text begins with the rulers. Then it has the times, one kind of memory file after the other,
 * and last the verdicts: each row of DESIGN 10 that has a target, in the unit of the target. A
 * verdict compares medians; ratios of means stand beside them in parentheses.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stddef.h>

#include "bench/contest.h"
#include "bench/crowd.h"
#include "bench/ruler.h"
#include "bench/stats.h"
#include "bench/world.h"

/* The most rows of each. */
enum { REPORT_SECTIONS = 12, REPORT_CONTESTS = 9, REPORT_CROWDS = 4 };

/* A row: critical sections of one process alone. */
struct report_section {
	const struct world_kind *kind;
	const char *work; /* in words */
	size_t size;      /* of the segment, bytes */
	size_t changed;   /* in each critical section, bytes */
	enum ruler_kind unit;
	double target; /* units at most; 0: no target, for comparison */
};

/* A row: workers that compete for one lock. */
struct report_contest {
	const struct world_kind *kind;
	struct contest_plan plan;
	double target;        /* round trips at most to hand the lock over; 0: no target */
	double spread_target; /* of the shares, at most; 0: no target */
};

/* A row: a pure lock of one process beside idle clients. */
struct report_crowd {
	const struct world_kind *kind;
	const char *work; /* in words */
	struct crowd_plan plan;
	double target; /* times the cost without them, at most */
};

struct report {
	int core;       /* that everything is pinned to; negative: none */
	double load;    /* of the machine before the run, processes; negative: unknown */
	char files[64]; /* the directory of the host files */
	char file_system[32];
	struct stats rulers[RULER_KINDS];
	size_t section_count;
	struct {
		const struct report_section *row;
		struct stats cost;
	} sections[REPORT_SECTIONS];
	size_t contest_count;
	struct {
		const struct report_contest *row;
		struct contest_result result;
	} contests[REPORT_CONTESTS];
	size_t crowd_count;
	struct {
		const struct report_crowd *row;
		struct crowd_result result;
	} crowds[REPORT_CROWDS];
};

/* Prints the report as text. */
void report_print(const struct report *report);

/* Prints the report as one JSON object. */
void report_print_json(const struct report *report);

#endif
