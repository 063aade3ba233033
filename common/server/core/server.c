#include "common/server/core/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/crypto/random.h"
#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/session.h"

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
	TAILQ_INIT(&v->sessions);
	TAILQ_INIT(&v->ready);
	memfile_tree_init(&v->files, store, store_context, &v->timers, &v->now, &v->schedule,
	    claims_granted);
	spare_init(&v->spare, &v->timers, &v->now);
	forks_init(&v->forks, store->separates_versions, &v->timers, &v->now, &v->schedule);
	*out = v;
	return 0;
}

void
server_destroy(struct server *v)
{
	if (v == NULL)
		return;
	while (schedule_run(&v->schedule, &BUDGET_UNLIMITED))
		continue;
	assert(TAILQ_EMPTY(&v->sessions));
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
	v->now = now;
}

uint64_t
server_next_deadline(struct server *v)
{
	return timer_next(&v->timers);
}

void
server_run_timers(struct server *v)
{
	timer_run(&v->timers, v->now);
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
	return v->session_count;
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
