#include "tests/unit/coretime.h"

#include "common/base/budget.h"
#include "common/base/clock.h"
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

uint64_t
coretime_spent(void)
{
	return UINT64_MAX;
}

bool
coretime_turn(struct session *s)
{
	if (session_has_work(s))
		session_work(s, &(struct budget){ .clock = coretime_spent });
	session_turn_ended(s);
	return session_has_work(s);
}

void
coretime_pass(struct server *s, uint64_t *now, uint64_t ms)
{
	*now += ms * CLOCK_MS + 1;
	server_set_time(s, *now);
	server_run_timers(s, &BUDGET_UNLIMITED);
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
