/*
 * patience: how long a test waits, on this machine, with this load, for this kind of build.
 *
 * Limits are stated for a plain build on a quiet machine. A probe at the start of the program
 * measures how much longer the same work takes now, and all limits grow by that factor, which is 1
 * on a quiet machine. The sanitizers and valgrind, told by VARIANT in the environment, have factors
 * of their own. This is for upper limits: a time within which something must not happen is taken as
 * it is. A test waits by looking again and again until a deadline, never by sleeping for as long as
 * it probably takes.
 */
#ifndef TESTS_STRESS_PATIENCE_H
#define TESTS_STRESS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { PATIENCE_MS = 10 * 1000 }; /* for what should happen at once */

/* True under a sanitizer or valgrind: its own memory hides what ours does. */
bool patience_is_sanitized(void);

/* ms milliseconds of a plain build on a quiet machine, as milliseconds of this one now. */
uint64_t patience_ms(uint64_t ms);

/* The same on a quiet machine: for times from which the load has been taken out. */
uint64_t patience_net_ms(uint64_t ms);

/* The moment, of clock_now(), that is patience_ms(ms) from now. */
uint64_t patience_until(uint64_t ms);

/*
 * True if took_ns nanoseconds are more than patience_ms(ms), even after the load was measured
 * again: it may have grown since the program began, or have been there for a moment only, which
 * patience_breathe() has felt.
 */
bool patience_is_over(uint64_t took_ns, uint64_t ms);

/*
 * Measures again: true when others have so much of the machine that no shares of it can be
 * compared.
 */
bool patience_is_busy(void);

/*
 * Ends this process by SIGALRM when patience_ms(ms) have passed; as in patience_is_over(), the load
 * counts that is there then. For a child that might hang, which needs SIGALRM for nothing else.
 */
void patience_alarm(uint64_t ms);

/* Between two looks: a millisecond. Notes how much longer it took, see patience_is_over(). */
void patience_breathe(void);

#endif
