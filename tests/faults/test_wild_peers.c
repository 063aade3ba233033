/*
 * test_wild_peers: whatever four peers do at once, the daemon goes on: nothing crashes, nothing
 * leaks, no lock is lost, none is held twice (world.h).
 *
 * The peers do what the numbers of a generator say, from a seed for each case; so a case can be run
 * again: WILD_SEED=n. WILD_CASES says how many cases each server gets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/faults/drive.h"
#include "tests/faults/subject.h"
#include "tests/faults/world.h"

enum { CASES = 100, BYTES = 3 * 120 };

static struct subject subject;
static struct world world;

static unsigned
number_from(const char *variable, unsigned otherwise)
{
	const char *text = getenv(variable);

	return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

/* splitmix64: neighbouring seeds give bytes that have nothing in common. */
static uint64_t
mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void
run_seed(unsigned seed)
{
	uint8_t bytes[BYTES];
	uint64_t state = seed;
	unsigned i;

	for (i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)mix(&state);
	subject.has_leases = seed % 4 == 0;
	world_begin(&world, &subject, false);
	if (!world.v.is_bad)
		drive_bytes(&world, bytes, sizeof bytes);
	world_end(&world);
	if (!world.v.is_bad)
		return;
	fprintf(stderr, "%s, WILD_SEED=%u\nthe daemon's log:\n",
	    subject.is_smuf ? "smufserver" : "smdishserver", seed);
	subject_show_log(&subject);
	fail_msg("%s", world.v.text);
}

static void
run_seeds(bool is_smuf)
{
	unsigned first = number_from("WILD_SEED", 0), i;
	unsigned count = first != 0 ? 1 : number_from("WILD_CASES", CASES);

	assert_int_equal(subject_init(&subject, is_smuf), 0);
	for (i = 0; i < count; i++)
		run_seed(first != 0 ? first : i + 1);
}

static void
smdishserver_survives_wild_peers(void **state)
{
	(void)state;
	run_seeds(false);
}

static void
smufserver_survives_wild_peers(void **state)
{
	(void)state;
	run_seeds(true);
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
		cmocka_unit_test_teardown(smdishserver_survives_wild_peers, teardown),
		cmocka_unit_test_teardown(smufserver_survives_wild_peers, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
