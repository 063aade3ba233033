#include "tests/stress/patience.h"

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

enum { ASAN_FACTOR = 4, TSAN_FACTOR = 10 };

static bool
is_variant(const char *name)
{
	const char *variant = getenv("VARIANT");

	return variant != NULL && strcmp(variant, name) == 0;
}

bool
patience_is_sanitized(void)
{
	return is_variant("asan") || is_variant("tsan");
}

uint64_t
patience_ms(uint64_t ms)
{
	return ms * (is_variant("tsan") ? TSAN_FACTOR : is_variant("asan") ? ASAN_FACTOR : 1);
}

uint64_t
patience_until(uint64_t ms)
{
	return clock_after_ms(clock_now(), patience_ms(ms));
}

void
patience_breathe(void)
{
	poll(NULL, 0, 1);
}
