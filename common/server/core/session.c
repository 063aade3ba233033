#include "common/server/core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/buffers.h"
#include "common/server/core/claimlists.h"
#include "common/server/core/claims.h"
#include "common/server/core/closing.h"
#include "common/server/core/core.h"
#include "common/server/core/leases.h"
#include "common/server/core/publishing.h"
#include "common/server/core/receiving.h"
#include "common/server/core/reply.h"
#include "common/server/core/sending.h"
#include "common/wire/protocol.h"

int
session_create(struct session **out, struct server *v, const char *peer, struct account *account)
{
	struct session *s;

	if (account_take(account, ACCOUNT_SESSIONS, 1) != 0)
		return -EUSERS;
	s = calloc(1, sizeof *s);
	if (s != NULL)
		s->peer = strdup(peer);
	if (s == NULL || s->peer == NULL) {
		account_give(account, ACCOUNT_SESSIONS, 1);
		free(s);
		return -ENOMEM;
	}
	s->server = v;
	s->account = account_ref(account);
	s->version = PROTOCOL_VERSION_1;
	fdtable_init(&s->table, account);
	tags_init(&s->tags);
	claimlists_init(s);
	TAILQ_INIT(&s->leases);
	s->created = v->now;
	sessions_add(&v->sessions, s);
	*out = s;
	return 0;
}

void
session_set_owner(struct session *s, void *owner)
{
	s->owner = owner;
}

void *
session_owner(const struct session *s)
{
	return s->owner;
}

void
session_set_operator(struct session *s)
{
	s->is_operator = true;
}

static void
end(struct session *s)
{
	struct server *v = s->server;

	s->sending.desc = NULL;
	closing_close_table(s, false);
	forks_parent_ended(s->forks);
	timer_disarm(&v->timers, &s->stall);
	timer_disarm(&v->timers, &s->memory);
	if (s->is_ready)
		TAILQ_REMOVE(&v->ready, s, ready_link);
	sessions_remove(&v->sessions, s);
	if (v->served == s)
		v->served = NULL;
	buffers_fini(s);
	if (v->sessions.count == 0)
		spare_fini(&v->spare);
	account_give(s->account, ACCOUNT_SESSIONS, 1);
	account_put(s->account);
	free(s->peer);
	free(s);
}

/* Goes on publishing for a session whose connection has ended; ends it at the end. */
static void
publish_rest(struct task *t, const struct budget *b)
{
	struct session *s = container_of(t, struct session, task);

	if (publishing_continue(s, b) == -EINPROGRESS)
		schedule_add(&s->server->schedule, &s->account->queues[SCHEDULE_SESSIONS], t);
	else
		end(s);
}

void
session_destroy(struct session *s)
{
	if (s == NULL)
		return;
	if (!publishing_is_active(s)) {
		end(s);
		return;
	}
	s->has_ended = true;
	s->is_over = true;
	session_write_failed(s);
	s->task.run = publish_rest;
	schedule_add(&s->server->schedule, &s->account->queues[SCHEDULE_SESSIONS], &s->task);
}

/* True when all that the peer has sent is executed, and no grant is on its way to it. */
static bool
is_idle(const struct session *s)
{
	return !s->is_complete && buf_size(&s->backlog) == 0 && !sending_is_active(s) &&
	    !claims_can_deliver(s, SIZE_MAX);
}

/* To be called at the end of each call of the driver. */
static void
settle(struct session *s)
{
	if (s->input_ended && is_idle(s))
		s->is_over = true;
	if (s->is_over)
		closing_drop_others(s, s->publishing.desc);
	if (s->write_failed) {
		buf_consume(&s->out, buf_size(&s->out));
		buf_consume(&s->late, buf_size(&s->late));
	}
	if (!sending_is_active(s))
		buffers_trim(s, &s->out);
	buffers_trim(s, &s->backlog);
}

void
session_feed(struct session *s, const void *data, size_t size, const struct budget *b)
{
	size_t used = 0;

	if (s->is_over)
		return;
	s->bytes_in += size;
	if (buf_size(&s->backlog) == 0)
		used = receiving_read(s, data, size, b);
	receiving_update_stall(s);
	if (!s->is_over &&
	    buffers_append_anyway(s, &s->backlog, (const uint8_t *)data + used, size - used) != 0)
		reply_end_session(s, "no memory for its requests");
	settle(s);
}

bool
session_wants_input(const struct session *s)
{
	return receiving_can_read(s) && buf_size(&s->backlog) == 0;
}

size_t
session_input_most(const struct session *s)
{
	return receiving_most(s);
}

bool
session_must_look(const struct session *s)
{
	return s->must_look;
}

bool
session_has_work(const struct session *s)
{
	if (sending_can_continue(s) || publishing_is_active(s) ||
	    claims_can_deliver(s, PROTOCOL_UNSENT_MOST))
		return true;
	if (s->is_complete)
		return receiving_can_continue(s);
	return buf_size(&s->backlog) > 0 && receiving_can_read(s);
}

/* Reads what was fed while the session could not execute it. */
static void
read_backlog(struct session *s, const struct budget *b)
{
	size_t used = receiving_read(s, buf_data(&s->backlog), buf_size(&s->backlog), b);

	buf_consume(&s->backlog, used);
	receiving_update_stall(s);
}

void
session_work(struct session *s, const struct budget *b)
{
	sending_continue(s);
	claims_deliver(s, PROTOCOL_UNSENT_MOST);
	receiving_continue(s, b);
	if (buf_size(&s->backlog) > 0 && receiving_can_read(s))
		read_backlog(s, b);
	settle(s);
}

size_t
session_output(const struct session *s, const uint8_t **data)
{
	*data = buf_data(&s->out);
	return s->write_failed ? 0 : buf_size(&s->out);
}

void
session_sent(struct session *s, size_t size)
{
	buf_consume(&s->out, size);
	s->sent += size;
	leases_sent(s);
	settle(s);
}

void
session_turn_ended(struct session *s)
{
	struct server *v = s->server;

	/* The turn has done what s was marked ready for. */
	if (s->is_ready)
		TAILQ_REMOVE(&v->ready, s, ready_link);
	s->is_ready = false;
	s->must_look = false;
	s->turns++;
	v->served = s;
	/* A timer may have ended the session. */
	settle(s);
	if (!s->is_waiting)
		return;
	s->is_waiting = false;
	reply_mark_ready(s);
}

void
session_input_ended(struct session *s)
{
	s->input_ended = true;
	settle(s);
}

void
session_write_failed(struct session *s)
{
	s->write_failed = true;
	s->sending.desc = NULL;
	settle(s);
}

void
session_refuse_more(struct session *s, const char *reason)
{
	if (s != NULL)
		reply_end_session(s, "%s", reason);
}

bool
session_is_over(const struct session *s)
{
	return s->is_over;
}
