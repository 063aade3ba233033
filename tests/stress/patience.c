#include "tests/stress/patience.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	ASAN_FACTOR = 4,
	TSAN_FACTOR = 10,
	VALGRIND_FACTOR = 10,
	/*
	 * The probe: long enough for the scheduler to give it no more than its share, and its time.
	 */
	PROBE_STEPS = 12 * 1000 * 1000,
	PROBE_MS = 25,
	LONG = 8, /* probes in one go: who has slept gets more than its share at first */
	BUSY_PERCENT = 150,
	BREATH_MS = 1
};

/* By how much longer the probe takes than on a quiet machine: at least 100 %. */
static atomic_uint load_percent = 100;

/* The longest time, ns, for which this process was to run while it breathed, and others did. */
static _Atomic uint64_t longest_pause;

static bool
is_variant(const char *name)
{
	const char *variant = getenv("VARIANT");

	return variant != NULL && strcmp(variant, name) == 0;
}

/* Arithmetic in registers, which sanitizers do not slow down. */
static void
run_probe(void)
{
	uint64_t x = 1;
	unsigned i;

	for (i = 0; i < PROBE_STEPS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		__asm__ volatile("" : "+r"(x));
	}
}

static uint64_t
cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec;
}

/*
 * A processor faster than PROBE_MS says would hide that others have most of it, so the time is
 * compared with the processor's, too. The factor never shrinks: a deadline that was computed stays
 * right.
 */
static void
measure_load(unsigned probes)
{
	uint64_t begun = clock_now(), cpu = cpu_now(), took, quiet = probes * PROBE_MS * CLOCK_MS;
	unsigned known = atomic_load(&load_percent), percent, i;

	for (i = 0; i < probes; i++)
		run_probe();
	took = clock_now() - begun;
	cpu = cpu_now() - cpu;
	if (cpu > 0 && cpu < quiet)
		quiet = cpu;
	percent = (unsigned)(100 * took / quiet);
	while (percent > known && !atomic_compare_exchange_weak(&load_percent, &known, percent))
		;
}

/* Before main(), so that no test has the probe within what it measures. */
static void __attribute__((constructor)) measure_load_first(void)
{
	measure_load(1);
}

bool
patience_is_sanitized(void)
{
	return is_variant("asan") || is_variant("tsan") || is_variant("valgrind");
}

uint64_t
patience_net_ms(uint64_t ms)
{
	unsigned factor = 1;

	if (is_variant("asan"))
		factor = ASAN_FACTOR;
	else if (is_variant("tsan"))
		factor = TSAN_FACTOR;
	else if (is_variant("valgrind"))
		factor = VALGRIND_FACTOR;
	return ms * factor;
}

uint64_t
patience_ms(uint64_t ms)
{
	return patience_net_ms(ms) * atomic_load(&load_percent) / 100;
}

uint64_t
patience_until(uint64_t ms)
{
	return clock_after_ms(clock_now(), patience_ms(ms));
}

/* With a pause before its deadline and one after it. */
static uint64_t
limit_ns(uint64_t ms)
{
	return patience_ms(ms) * CLOCK_MS + 2 * atomic_load(&longest_pause);
}

bool
patience_is_over(uint64_t took_ns, uint64_t ms)
{
	if (took_ns <= limit_ns(ms))
		return false;
	measure_load(LONG);
	return took_ns > limit_ns(ms);
}

bool
patience_is_busy(void)
{
	measure_load(1);
	return atomic_load(&load_percent) >= BUSY_PERCENT;
}

static uint64_t alarm_set, alarm_after; /* when, in clock_now()'s time; milliseconds */

static void
set_alarm(uint64_t took_ms)
{
	uint64_t ms = patience_ms(alarm_after);

	(void)alarm(ms > took_ms ? (unsigned)((ms - took_ms + 999) / 1000) : 1);
}

static void
look_at_alarm(int signal_number)
{
	uint64_t took = clock_now() - alarm_set;
	int error = errno;

	if (patience_is_over(took, alarm_after)) {
		(void)signal(signal_number, SIG_DFL);
		(void)raise(signal_number);
	} else {
		set_alarm(took / CLOCK_MS);
	}
	errno = error;
}

void
patience_alarm(uint64_t ms)
{
	struct sigaction action = { .sa_handler = look_at_alarm, .sa_flags = SA_RESTART };

	alarm_set = clock_now();
	alarm_after = ms;
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGALRM, &action, NULL);
	set_alarm(0);
}

void
patience_breathe(void)
{
	uint64_t begun = clock_now(), took, known = atomic_load(&longest_pause);

	poll(NULL, 0, BREATH_MS);
	took = clock_now() - begun;
	took -= took > BREATH_MS * CLOCK_MS ? BREATH_MS * CLOCK_MS : took;
	while (took > known && !atomic_compare_exchange_weak(&longest_pause, &known, took))
		;
}
