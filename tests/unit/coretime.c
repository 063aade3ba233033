#include "common/base/budget.h"
#include "tests/unit/coretime.h"

#include "common/server/core/account.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"

void
coretime_advance(struct server *s, uint64_t *now, uint64_t then, void (*settle)(void))
{
	uint64_t deadline;

	/* A timer that lets its session be read first acts a nanosecond later. */
	while ((deadline = server_next_deadline(s)) <= then + 1) {
		*now = deadline > *now ? deadline : *now;
		server_set_time(s, *now);
		server_run_timers(s, &BUDGET_UNLIMITED);
		settle();
	}
	*now = then > *now ? then : *now;
	server_set_time(s, *now);
}

int
coretime_session(struct session **out, struct server *s, const char *peer)
{
	struct account *account;
	int error = account_get(server_accounts(s), peer, &account);

	if (error != 0)
		return error;
	error = session_create(out, s, peer, account);
	account_put(account);
	return error;
}
