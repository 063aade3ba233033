#include "common/server/connection_core.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/server/core/account.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/wire/stream.h"

void
connection_add_task(struct connection *c)
{
	schedule_add(server_schedule(c->table->core),
	    &c->account->queues[c->is_serving ? SCHEDULE_SESSIONS : SCHEDULE_NEWCOMERS], &c->task);
}

void
connection_leave_handshake(struct connection *c)
{
	struct connection_table *t = c->table;

	timer_disarm(&t->timers, &c->timer);
	TAILQ_REMOVE(&t->handshaking, c, link);
	account_give(c->account, ACCOUNT_HANDSHAKES, 1);
}

void
connection_destroy(struct connection *c)
{
	struct connection_table *t = c->table;

	schedule_remove(server_schedule(t->core), &c->task);
	timer_disarm(&t->timers, &c->timer);
	if (c->is_serving)
		TAILQ_REMOVE(&t->serving, c, link);
	else
		connection_leave_handshake(c);
	t->count--;
	loop_remove(t->loop, &c->watch);
	session_destroy(c->session);
	stream_destroy(c->stream);
	account_put(c->account);
	free(c);
}

void
connection_close(struct connection *c)
{
	log_debug("%s: disconnected", c->peer);
	stream_shutdown(c->stream);
	connection_destroy(c);
}
