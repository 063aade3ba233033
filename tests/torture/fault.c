#include "tests/torture/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stress/patience.h"
#include "tests/torture/actor.h"

static _Thread_local const struct actor *self;

static void
note(int signal_number)
{
	const struct actor *a = self;
	const char *call = a != NULL ? atomic_load(&a->seat.thread->call) : NULL;

	if (a != NULL && signal_number == SIGBUS && round_is_blind(a->round)) {
		atomic_store(&a->seat.process->state, LEDGER_HAS_ENDED);
		_exit(EXIT_SUCCESS);
	}
	if (a != NULL)
		ledger_accuse(&a->seat, "signal %d (%s) in %s", signal_number,
		    sigabbrev_np(signal_number), call != NULL ? call : "no call of the library");
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

void
fault_watch(const struct actor *a)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	/* Without SA_RESTART: beside a handler that has it, no signal ends a short wait. */
	const struct sigaction action = { .sa_handler = note };
	size_t i;

	self = a;
	for (i = 0; !patience_is_sanitized() && i < sizeof faults / sizeof faults[0]; i++)
		(void)sigaction(faults[i], &action, NULL);
}

bool
fault_is_build(const char *variant)
{
	const char *ours = getenv("VARIANT");

	return ours != NULL && strcmp(ours, variant) == 0;
}
