/*
 * test_faults: a daemon in which calls fail, one after the other, goes on: nothing crashes, nothing
 * leaks, no lock is lost, none is held twice, and other connections go on (world.h).
 *
 * Each script of scripts.h runs once without a fault, which counts the daemon's calls of each kind,
 * and then once for each kind and call, which fails, alone or with the calls after it. By default
 * some of these cases run, evenly spread; FAULTS=all runs all of them. FAULTS_SCRIPT names one
 * script.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/faults.h"
#include "tests/faults/scripts.h"
#include "tests/faults/subject.h"
#include "tests/faults/world.h"

enum {
	CASES_MOST = 2,        /* of one kind, one script and one length, by default */
	ALLOCATIONS_MOST = 40, /* the same for one allocation */
	FOR_EVER = 1000 * 1000
};

/* How many calls fail in a row. */
static const unsigned lengths[] = { 1, FOR_EVER, 2 };
enum { LENGTHS = sizeof lengths / sizeof lengths[0], LENGTHS_BY_DEFAULT = 2 };

static struct subject subject;
static struct world world;
static unsigned cases, struck;

static bool
runs_all(void)
{
	const char *wanted = getenv("FAULTS");

	return wanted != NULL && strcmp(wanted, "all") == 0;
}

static void
fail_case(const struct drive_script *script, const struct faults_kind *kind, unsigned first,
    unsigned length)
{
	fprintf(stderr, "%s, script %s", subject.is_smuf ? "smufserver" : "smdishserver",
	    script->name);
	if (kind != NULL)
		fprintf(stderr, ", %s: calls from %u on, %u of them", kind->name, first, length);
	fprintf(stderr, "\nthe daemon's log:\n");
	subject_show_log(&subject);
	fail_msg("%s", world.v.text);
}

/* Runs one case. kind NULL: without a fault, and exactly. */
static void
run_case(const struct drive_script *script, const struct faults_kind *kind, unsigned first,
    unsigned length)
{
	world_begin(&world, &subject, true);
	if (kind != NULL)
		faults_plan(subject.faults, kind, first, length);
	if (!world.v.is_bad)
		drive_script(&world, script, kind == NULL);
	if (kind != NULL && length == 1 && world.ended > (kind->may_end ? 1 : 0))
		verdict_say(&world.v, "one fault has ended %u connections", world.ended);
	world_end(&world);
	cases++;
	struck += atomic_load(&subject.faults->struck) != 0;
	if (world.v.is_bad)
		fail_case(script, kind, first, length);
}

static void
run_kind(const struct drive_script *script, const struct faults_kind *kind, unsigned length,
    unsigned count)
{
	unsigned most = kind->call == FAULTS_MEMORY && length == 1 ? ALLOCATIONS_MOST : CASES_MOST;
	unsigned step = runs_all() || count <= most ? 1 : count / most, first;

	/* Not the same calls for each kind. */
	for (first = 1 + (unsigned)(kind - faults_kinds) % step; first <= count; first += step)
		run_case(script, kind, first, length);
}

static void
run_script(const struct drive_script *script)
{
	unsigned counts[FAULTS_CALLS], i, j;

	subject.has_leases = script->has_leases;
	run_case(script, NULL, 0, 0);
	for (i = 0; i < FAULTS_CALLS; i++)
		counts[i] = atomic_load(&subject.faults->counts[i]);
	for (i = 0; i < faults_kind_count; i++)
		for (j = 0; j < (runs_all() ? LENGTHS : LENGTHS_BY_DEFAULT); j++)
			if (lengths[j] != FOR_EVER || faults_kinds[i].may_last)
				run_kind(script, &faults_kinds[i], lengths[j],
				    counts[faults_kinds[i].call]);
}

static void
run_scripts(bool is_smuf)
{
	const char *wanted = getenv("FAULTS_SCRIPT");
	unsigned i;

	cases = struck = 0;
	for (i = 0; i < scripts_count; i++) {
		const struct drive_script *script = &scripts_all[i];

		if ((is_smuf ? script->is_for_smuf : script->is_for_smdish) &&
		    (wanted == NULL || strcmp(wanted, script->name) == 0))
			run_script(script);
	}
	print_message("# %u cases, in %u of them a call failed\n", cases, struck);
}

static void
smdishserver_survives_each_fault(void **state)
{
	(void)state;
	assert_int_equal(subject_init(&subject, false), 0);
	run_scripts(false);
}

static void
smufserver_survives_each_fault(void **state)
{
	(void)state;
	assert_int_equal(subject_init(&subject, true), 0);
	run_scripts(true);
}

static int
teardown(void **state)
{
	(void)state;
	subject_fini(&subject);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(smdishserver_survives_each_fault, teardown),
		cmocka_unit_test_teardown(smufserver_survives_each_fault, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
