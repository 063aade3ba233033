/* The server's core in this process: no socket, and no clock but the script's. */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/server/core/schedule.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/server/core/store.h"
#include "common/wire/inspect.h"
#include "smdish/store.h"
#include "smuf/store.h"
#include "tests/protocol/peer.h"
#include "tests/unit/coretime.h"

enum { START_S = 1000, PATIENCE_S = 5, SMALL = 4096, ODD = 1021 };

struct connection {
	struct session *session; /* NULL: closed, or ended by the server */
	struct buf out;          /* not fed yet, because the session did not want it */
	struct buf in;
	bool is_deaf;
	bool has_failed; /* and the session was told */
	bool is_paused;
};

static struct connection connections[PEER_MOST];
static struct server *server;
static size_t allocated_before;
static uint64_t now;
static bool is_bytewise;
static const struct store_ops *store;
static void *store_context;
static char memdir[64]; /* smuf's */

/* Returns how many of size bytes to hand over at once. */
static size_t
portion(size_t size)
{
	if (!is_bytewise)
		return size;
	return size <= SMALL ? 1 : ODD;
}

/* Bytewise, every budget is spent at once: all work is done in its smallest pieces. */
static uint64_t
spent(void)
{
	return UINT64_MAX;
}

static struct budget
turn_budget(void)
{
	return is_bytewise ? (struct budget){ .clock = spent } : BUDGET_UNLIMITED;
}

/* Lets the session work; true if it had something to do. */
static bool
work(struct connection *c)
{
	struct budget b = turn_budget();

	if (c->session == NULL || !session_has_work(c->session))
		return false;
	session_work(c->session, &b);
	return true;
}

/* Takes the session's replies, as the event loop would send them; true if anything happened. */
static bool
collect(struct connection *c)
{
	const uint8_t *data;
	bool moved = false;
	size_t size;

	while (
	    c->session != NULL && !c->is_paused && (size = session_output(c->session, &data)) > 0) {
		/* The session was told once; it must not even keep later replies. */
		if (c->has_failed)
			break;
		moved = true;
		if (c->is_deaf) {
			session_write_failed(c->session);
			c->has_failed = true;
			continue;
		}
		size = portion(size);
		buf_append(&c->in, data, size);
		session_sent(c->session, size);
	}
	if (c->session != NULL && !c->is_paused && session_is_over(c->session)) {
		moved = true;
		session_destroy(c->session);
		c->session = NULL;
	}
	return moved;
}

/* Hands over the bytes that the session wants to read; true if there were any. */
static bool
feed(struct connection *c)
{
	struct budget b = turn_budget();
	size_t size;

	if (c->session == NULL || buf_size(&c->out) == 0 || !session_wants_input(c->session))
		return false;
	size = portion(buf_size(&c->out));
	session_feed(c->session, buf_data(&c->out), size, &b);
	buf_consume(&c->out, size);
	return true;
}

/* One turn; true if anything happened. */
static bool
turn(struct connection *c)
{
	bool moved = feed(c);

	moved = work(c) || moved;
	moved = collect(c) || moved;
	if (c->session != NULL)
		session_turn_ended(c->session);
	return moved;
}

/* Goes on until nothing moves. */
static void
settle(void)
{
	struct budget b = turn_budget();
	bool moved;
	size_t i;

	do {
		moved = schedule_run(server_schedule(server), &b);
		for (i = 0; i < PEER_MOST; i++)
			moved = turn(&connections[i]) || moved;
		/* All connections have had a turn; what is ready now needs another. */
		while (server_next_ready(server) != NULL)
			moved = true;
	} while (moved);
}

/* Advances the time up to then, through every deadline on the way. */
static void
advance_to(uint64_t then)
{
	coretime_advance(server, &now, then, settle);
	server_run_timers(server, &BUDGET_UNLIMITED);
	settle();
}

/* Returns 0 when a sanitizer has its own malloc. */
static size_t
allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static size_t
core_memory(void)
{
	size_t all = allocated(), own = allocated_before, i;

	for (i = 0; i < PEER_MOST; i++)
		own += connections[i].in.capacity + connections[i].out.capacity;
	return all > own ? all - own : 0;
}

/* smuf: starts the store in a directory that ends with the test. */
static int
start_store(void)
{
	const char *parent = getenv("TMPDIR");

	store_context = NULL;
	if (store->start == NULL)
		return 0;
	if (parent == NULL || strlen(parent) > 40)
		parent = "/tmp";
	snprintf(memdir, sizeof memdir, "%s/memdir.XXXXXX", parent);
	if (mkdtemp(memdir) == NULL)
		return -errno;
	return store->start(&store_context, memdir);
}

/* Stops the store. True when its directory was empty. */
static bool
stop_store(void)
{
	if (store->stop == NULL)
		return true;
	store->stop(store_context);
	return rmdir(memdir) == 0;
}

/* As a daemon without -C: nothing fails. */
static void
reload(void *arg, const char *peer, struct inspect_reload *out)
{
	(void)arg;
	(void)peer;
	*out = (struct inspect_reload){ .failed = 0 };
}

static bool
begin_with(const struct store_ops *with, const struct peer_options *o,
    char reason[PEER_REASON_SIZE])
{
	struct server_config config = server_config_default();
	int r;

	config.lease_ms = o->lease_ms;
	if (o->session_limit != 0)
		config.session_limit = o->session_limit;
	if (o->segment_limit != 0)
		config.segment_limit = o->segment_limit;
	if (o->total_limit != 0)
		config.total_limit = o->total_limit;
	if (o->memory_limit != 0)
		config.memory_limit = o->memory_limit;
	is_bytewise = false;
	store = with;
	r = start_store();
	if (r != 0) {
		snprintf(reason, PEER_REASON_SIZE, "the store does not start: %s", strerror(-r));
		return false;
	}
	allocated_before = allocated();
	r = server_create(&server, &config, store, store_context);
	if (r != 0) {
		snprintf(reason, PEER_REASON_SIZE, "server_create: %s", strerror(-r));
		return false;
	}
	server_set_reload(server, reload, NULL);
	now = START_S * CLOCK_SEC;
	server_set_time(server, now);
	return true;
}

static bool
begin(const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	return begin_with(&smdish_store, o, reason);
}

static bool
begin_bytewise(const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	bool ok = begin(o, reason);

	is_bytewise = true;
	return ok;
}

static bool
begin_smuf(const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	return begin_with(&smuf_store, o, reason);
}

static bool
begin_smuf_bytewise(const struct peer_options *o, char reason[PEER_REASON_SIZE])
{
	bool ok = begin_smuf(o, reason);

	is_bytewise = true;
	return ok;
}

static void
core_close(unsigned who)
{
	struct connection *c = &connections[who];

	session_destroy(c->session);
	c->session = NULL;
	buf_fini(&c->out);
	buf_fini(&c->in);
	*c = (struct connection){ 0 };
	settle();
}

/* A minute after the last connection no fork is pending and no buffer kept: nothing may be left. */
static bool
end(bool has_forked, char reason[PEER_REASON_SIZE])
{
	uint32_t files, sessions = server_session_count(server);
	uint64_t deadline, bytes;
	bool is_clean;

	(void)has_forked;
	advance_to(now + 61 * CLOCK_SEC);
	files = server_file_count(server);
	bytes = server_reserved(server);
	deadline = server_next_deadline(server);
	server_destroy(server);
	server = NULL;
	is_clean = stop_store();
	snprintf(reason, PEER_REASON_SIZE,
	    "left in the server: %u sessions, %u files, %llu bytes of segments%s%s%s", sessions,
	    files, (unsigned long long)bytes, deadline != CLOCK_NEVER ? ", a timer" : "",
	    is_clean ? "" : "; left on the host: files in ", is_clean ? "" : memdir);
	return sessions == 0 && files == 0 && bytes == 0 && deadline == CLOCK_NEVER && is_clean;
}

static bool
finish(char reason[PEER_REASON_SIZE])
{
	(void)reason;
	return true;
}

static int
core_open(unsigned who)
{
	return coretime_session(&connections[who].session, server, "script");
}

static void
core_send(unsigned who, const void *data, size_t size)
{
	buf_append(&connections[who].out, data, size);
	settle();
}

static int
core_wait(unsigned who, size_t size, enum peer_patience patience)
{
	const struct connection *c = &connections[who];
	uint64_t end_of_patience = now + (patience == PEER_SOON ? PATIENCE_S * CLOCK_SEC : 0);

	while (buf_size(&c->in) < size) {
		if (c->session == NULL)
			return -ECONNRESET;
		if (patience != PEER_SOON || server_next_deadline(server) > end_of_patience)
			return -EAGAIN;
		advance_to(server_next_deadline(server));
	}
	return 0;
}

static struct buf *
core_input(unsigned who)
{
	return &connections[who].in;
}

static void
core_deafen(unsigned who)
{
	connections[who].is_deaf = true;
	settle();
}

static void
core_pause(unsigned who)
{
	connections[who].is_paused = true;
}

static void
core_resume(unsigned who)
{
	connections[who].is_paused = false;
	settle();
}

static void
core_advance(uint64_t ns)
{
	advance_to(now + ns);
}

static bool
core_is_held_back(unsigned who)
{
	return connections[who].session != NULL && !session_wants_input(connections[who].session);
}

static void
core_make_operator(unsigned who)
{
	session_set_operator(connections[who].session);
}

static const char *
core_memdir(void)
{
	return memdir;
}

#define CORE(title, smuf, begins) \
	{ \
		.name = title, .is_core = true, .is_smuf = smuf, .begin = begins, .end = end, \
		.finish = finish, .memdir = core_memdir, .open = core_open, .close = core_close, \
		.send = core_send, .wait = core_wait, .input = core_input, .deafen = core_deafen, \
		.pause = core_pause, .resume = core_resume, .advance = core_advance, \
		.is_held_back = core_is_held_back, .make_operator = core_make_operator, \
		.memory = core_memory \
	}

const struct peer peer_core = CORE("core", false, begin);
const struct peer peer_core_bytewise = CORE("bytewise", false, begin_bytewise);
const struct peer peer_smuf_core = CORE("smuf core", true, begin_smuf);
const struct peer peer_smuf_core_bytewise = CORE("smuf bytewise", true, begin_smuf_bytewise);
