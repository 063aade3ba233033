/*
 * tracer: kills a child before one of its system calls, with ptrace(2).
 *
 * The child calls tracer_stop() where the calls to be counted begin, and raises SIGSTOP where they
 * end. Its parent calls tracer_kill_at_call(). Nothing here calls cmocka.
 */
#ifndef TESTS_STRESS_TRACER_H
#define TESTS_STRESS_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* True where a process may trace its children; some machines forbid it. */
bool tracer_is_allowed(void);

/* In the child: stops until the parent goes on. Returns 0 or a negative errno. */
int tracer_stop(void);

/*
 * Lets the child run and kills it before the kernel does anything of its nth system call (from 1).
 * Only calls for which counts() is true count; NULL: all do. *call becomes the number of that call.
 * Returns 1; or 0 when the child has stopped itself before, and now goes on without a tracer; or a
 * negative errno.
 */
int tracer_kill_at_call(pid_t pid, unsigned n, bool (*counts)(uint64_t call), uint64_t *call);

#endif
