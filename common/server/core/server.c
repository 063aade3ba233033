#include "common/server/core/server.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/crypto/random.h"
#include "common/server/core/core.h"
#include "common/server/core/session.h"

enum {
	BUFFER_KEEP = 64 * SIZE_KIB, /* an empty buffer of this size or less stays where it is */
	SPARE_MS = 1000              /* how long the spare one waits for a use */
};

int
server_create(struct server **out, const struct server_config *config,
    const struct store_ops *store, void *store_context)
{
	struct server *v = calloc(1, sizeof *v);
	int error;

	assert(config->segment_limit <= SIZE_SEGMENT_MOST);
	if (v == NULL)
		return -ENOMEM;
	error = random_bytes(v->instance_id, sizeof v->instance_id);
	if (error != 0) {
		free(v);
		return error;
	}
	v->config = *config;
	v->store = store;
	timer_queue_init(&v->timers);
	TAILQ_INIT(&v->sessions);
	TAILQ_INIT(&v->ready);
	memfile_tree_init(&v->files, store, store_context, &v->timers, &v->now,
	    handlers_claim_granted);
	forks_init(&v->forks, store->separates_versions, &v->timers, &v->now);
	*out = v;
	return 0;
}

void
server_destroy(struct server *v)
{
	if (v == NULL)
		return;
	assert(TAILQ_EMPTY(&v->sessions));
	forks_fini(&v->forks);
	assert(v->files.count == 0);
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

void
server_lend(struct server *v, struct buf *b, size_t size)
{
	if (size <= BUFFER_KEEP || b->capacity >= size || buf_size(b) > 0)
		return;
	buf_fini(b);
	*b = v->spare;
	v->spare = (struct buf){ 0 };
	timer_disarm(&v->timers, &v->spare_expiry);
}

void
server_free_spare(struct server *v)
{
	bool is_large = v->spare.capacity > BUFFER_KEEP;

	timer_disarm(&v->timers, &v->spare_expiry);
	buf_fini(&v->spare);
	/* It may lie in the middle of the heap, which free(3) does not give back to the system. */
	if (is_large)
		malloc_trim(0);
}

static void
spare_expired(struct timer *t)
{
	server_free_spare(container_of(t, struct server, spare_expiry));
}

void
server_take_back(struct server *v, struct buf *b)
{
	struct buf smaller;

	if (b->capacity <= BUFFER_KEEP || buf_size(b) > 0)
		return;
	if (b->capacity > v->spare.capacity) {
		smaller = v->spare;
		v->spare = *b;
		*b = smaller;
	}
	buf_fini(b);
	timer_arm(&v->timers, &v->spare_expiry, clock_after_ms(v->now, SPARE_MS), spare_expired);
}

void
server_mark_ready(struct session *s)
{
	if (s->is_ready)
		return;
	s->is_ready = true;
	TAILQ_INSERT_TAIL(&s->server->ready, s, ready_link);
}

struct session *
server_next_ready(struct server *v)
{
	struct session *s = TAILQ_FIRST(&v->ready);

	if (s == NULL)
		return NULL;
	TAILQ_REMOVE(&v->ready, s, ready_link);
	s->is_ready = false;
	session_sent(s, 0);
	return s;
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
