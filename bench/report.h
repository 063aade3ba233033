/*
 * report: what a run of `smbench --targets` found, in words and for machines.
 *
 * First what was measured, in time, one kind of memory files after the other; last the verdicts: each row of section 10 of the
 * design, in the unit that its target has there.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stddef.h>

#include "bench/contest.h"
#include "bench/crowd.h"
#include "bench/world.h"
#include "bench/ruler.h"
#include "bench/stats.h"

/* The most of each. */
enum { REPORT_SECTIONS = 12, REPORT_CONTESTS = 9, REPORT_GROWTHS = 4 };

struct report {
	int core;    /* negative: not pinned */
	double load; /* of the machine, processes, before anything was started; negative: unknown */
	char files[64]; /* the directory of the host files, and in words its file system */
	char file_system[32];
	struct stats rulers[RULER_KINDS];
	size_t section_count;
	struct {
		const struct world_kind *kind;
		const char *work;
		enum ruler_kind unit;
		double target; /* at most so many of them; 0: none */
		struct stats cost;
	} sections[REPORT_SECTIONS];
	size_t contest_count;
	struct {
		const struct world_kind *kind;
		const char *work;
		size_t seconds;       /* of a window */
		double target;        /* round trips that handing over may take; 0: none */
		double spread_target; /* of the shares; 0: none */
		struct contest_result result;
	} contests[REPORT_CONTESTS];
	size_t growth_count;
	struct {
		const struct world_kind *kind;
		const char *work;
		size_t rounds;
		double target; /* times the cost without a crowd */
		struct crowd_result result;
	} growths[REPORT_GROWTHS];
};

void report_print(const struct report *report);

/* The same as one JSON object. */
void report_print_json(const struct report *report);

#endif
