#include "tests/unit/coretime.h"

#include "common/server/core/server.h"

void
coretime_advance(struct server *s, uint64_t *now, uint64_t then, void (*settle)(void))
{
	uint64_t deadline;

	while ((deadline = server_next_deadline(s)) <= then) {
		*now = deadline > *now ? deadline : *now;
		server_set_time(s, *now);
		server_run_timers(s);
		settle();
	}
	*now = then;
	server_set_time(s, then);
}
