/*
 * fuzz_daemon: drives a whole daemon over real sockets with any input (libFuzzer).
 *
 * The input is three bytes an action, which drive_bytes() of tests/faults executes with four peers;
 * world.h says what must hold meanwhile and in the end. The first byte chooses a lease, and whether
 * a call of the daemon fails: then two bytes say which one.
 *
 * The daemon is a forked process. At its end it copies its coverage into shared memory, and this
 * process adds that to its own, where libFuzzer looks.
 *
 * fuzz_daemon_smuf.c is the same with smufserver: FUZZ_SMUF.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/wire/wire.h"
#include "tests/faults/drive.h"
#include "tests/faults/faults.h"
#include "tests/faults/subject.h"
#include "tests/faults/world.h"

#ifdef FUZZ_SMUF
enum { IS_SMUF = true };
#else
enum { IS_SMUF = false };
#endif

/* The counters of the compiler's inline instrumentation. */
extern uint8_t counters_begin[] __asm__("__start___sancov_cntrs");
extern uint8_t counters_end[] __asm__("__stop___sancov_cntrs");

static struct subject subject;
static struct world world;
static uint8_t *covered; /* shared: the daemon's counters */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
counter_count(void)
{
	return (size_t)(counters_end - counters_begin);
}

/* In the daemon's process. */
static void
hand_over_coverage(void)
{
	memcpy(covered, counters_begin, counter_count());
}

static void
add_coverage(void)
{
	size_t i;

	for (i = 0; i < counter_count(); i++)
		if (counters_begin[i] < covered[i])
			counters_begin[i] = covered[i];
}

static void
remove_directory(void)
{
	subject_fini(&subject);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	covered = mmap(NULL, counter_count(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);
	if (covered == MAP_FAILED || subject_init(&subject, IS_SMUF) != 0)
		abort();
	subject.at_end = hand_over_coverage;
	subject.skips_lsan = true;
	(void)atexit(remove_directory);
	return 0;
}

/* Plans the fault that the input chooses, if it does. */
static void
plan_fault(struct wire_reader *in, uint8_t choice)
{
	const struct faults_kind *kind;
	uint8_t which = wire_get_u8(in), first = wire_get_u8(in);

	if ((choice & 2) == 0)
		return;
	kind = &faults_kinds[which % faults_kind_count];
	faults_plan(subject.faults, kind, 1u + first, 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader in = wire_reader(data, size);
	uint8_t choice = wire_get_u8(&in);

	subject.has_leases = choice & 1;
	world_begin(&world, &subject, true);
	plan_fault(&in, choice);
	if (!world.v.is_bad)
		drive_bytes(&world, in.next, in.left);
	world_end(&world);
	add_coverage();
	if (!world.v.is_bad)
		return 0;
	fprintf(stderr, "ERROR: %s\nthe daemon's log:\n", world.v.text);
	subject_show_log(&subject);
	abort();
}
