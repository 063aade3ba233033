#include "bench/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

int
pin_core(void)
{
	cpu_set_t allowed, one;
	int core = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof allowed, &allowed) == -1)
		return -errno;
	while (core > 0 && !CPU_ISSET(core, &allowed))
		core--;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	return sched_setaffinity(0, sizeof one, &one) == 0 ? core : -errno;
}

const char *
pin_words(int core)
{
	static char words[32];

	if (core < 0)
		return "not pinned";
	snprintf(words, sizeof words, "pinned to core %d", core);
	return words;
}
