#include "common/server/core/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/session.h"

enum { LONG_TURN_US = 5000 }; /* a longer one is worth a line */

static void
init_accounts(struct server *v)
{
	const uint64_t limit[ACCOUNT_QUOTAS] = {
		[ACCOUNT_SESSIONS] = v->config.session_limit,
		[ACCOUNT_HANDSHAKES] = PROTOCOL_HANDSHAKES_MOST,
		[ACCOUNT_SEGMENTS] = v->config.total_limit,
		[ACCOUNT_MEMORY] = v->config.memory_limit,
		[ACCOUNT_FORKS] = PROTOCOL_FORKS_SERVER_MOST,
	};

	accounts_init(&v->accounts, limit);
}

int
server_create(struct server **out, const struct server_config *config,
    const struct store_ops *store, void *store_context)
{
	struct server *v = calloc(1, sizeof *v);
	int error;

	assert(config->segment_limit <= PROTOCOL_SEGMENT_MOST);
	if (v == NULL)
		return -ENOMEM;
	error = random_bytes(v->instance_id, sizeof v->instance_id);
	if (error != 0) {
		free(v);
		return error;
	}
	v->config = *config;
	v->store = store;
	init_accounts(v);
	schedule_init(&v->schedule);
	timer_queue_init(&v->timers);
	sessions_init(&v->sessions);
	TAILQ_INIT(&v->ready);
	memfile_tree_init(&v->files, store, store_context, &v->timers, &v->now, &v->schedule,
	    claims_granted);
	spare_init(&v->spare, &v->timers, &v->now);
	forks_init(&v->forks, store->separates_versions, &v->timers, &v->now, &v->schedule);
	*out = v;
	return 0;
}

void
server_set_reload(struct server *v,
    void (*reload)(void *arg, const char *peer, struct inspect_reload *out), void *arg)
{
	v->reload = reload;
	v->reload_arg = arg;
}

void
server_destroy(struct server *v)
{
	if (v == NULL)
		return;
	while (schedule_run(&v->schedule, &BUDGET_UNLIMITED))
		continue;
	assert(v->sessions.count == 0);
	forks_end_graces(&v->forks);
	while (schedule_run(&v->schedule, &BUDGET_UNLIMITED))
		continue;
	assert(v->files.count == 0);
	accounts_fini(&v->accounts);
	free(v);
}

void
server_set_time(struct server *v, uint64_t now)
{
	if (v->started == 0)
		v->started = now;
	v->now = now;
}

/* Names the peer that had the turn. */
static const char *
describe_turn(const struct server *v)
{
	if (v->served != NULL)
		return v->served->peer;
	return v->schedule.last == SCHEDULE_NEWCOMERS ?
	    "a newcomer" :
	    "a session that has ended, or the server's own work";
}

void
server_turn_took(struct server *v, uint64_t ns)
{
	uint64_t us = ns / 1000;
	uint32_t took = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;

	if (v->served != NULL && took > v->served->longest_turn_us)
		v->served->longest_turn_us = took;
	if (took > v->recent_turn_us)
		v->recent_turn_us = took;
	if (took > v->longest_turn_us) {
		v->longest_turn_us = took;
		if (took > LONG_TURN_US)
			log_debug("the longest turn so far, %lu us: %s", (unsigned long)took,
			    describe_turn(v));
	}
	v->served = NULL;
}

uint64_t
server_next_deadline(struct server *v)
{
	return timer_next(&v->timers);
}

void
server_run_timers(struct server *v, const struct budget *b)
{
	timer_run(&v->timers, v->now, b);
}

struct session *
server_next_ready(struct server *v)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&v->ready)) != NULL) {
		TAILQ_REMOVE(&v->ready, s, ready_link);
		s->is_ready = false;
		if (!s->has_ended)
			return s;
	}
	return NULL;
}

struct schedule *
server_schedule(struct server *v)
{
	return &v->schedule;
}

struct accounts *
server_accounts(struct server *v)
{
	return &v->accounts;
}

uint32_t
server_session_count(const struct server *v)
{
	return v->sessions.count;
}

uint32_t
server_file_count(const struct server *v)
{
	return v->files.count;
}

uint64_t
server_reserved(const struct server *v)
{
	return v->files.total_size;
}
