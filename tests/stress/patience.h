/*
 * patience: how long a test waits, for every kind of build.
 *
 * Times are stated for a plain build; those of the sanitizers, told by VARIANT in the environment, are
 * slower and get more. A test waits by looking again and again until a deadline, never by sleeping for
 * as long as it probably takes.
 */
#ifndef TESTS_STRESS_PATIENCE_H
#define TESTS_STRESS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { PATIENCE_MS = 10 * 1000 }; /* for what should happen at once */

/* True under a sanitizer: its own memory hides what ours does. */
bool patience_is_sanitized(void);

/* ms milliseconds of a plain build, as milliseconds of this one. */
uint64_t patience_ms(uint64_t ms);

/* The moment, of clock_now(), that many milliseconds of a plain build from now. */
uint64_t patience_until(uint64_t ms);

/* Between two looks: a millisecond. */
void patience_breathe(void);

#endif
