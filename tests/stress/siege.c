#include "tests/stress/siege.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/loglimit.h"
#include "tests/stress/patience.h"
#include "tests/stress/raw.h"

enum { WARM_UP_ROUNDS = 20, PEER_SIZE = 32, GIVE_BACK_MS = 3000 };

/* Adds one to the counter, whose value must be the number of all increments so far. */
static void
increment(struct siege *s, struct client *c)
{
	if (sm_lock(c->file) != 0)
		fail_msg("an honest client cannot lock: %s", sm_error(NULL));
	if (c->words[0] != s->expected)
		fail_msg("the honest counter: expected %lu, got %lu", (unsigned long)s->expected,
		    (unsigned long)c->words[0]);
	c->words[0] = ++s->expected;
	if (sm_unlock(c->file) != 0)
		fail_msg("an honest client cannot unlock: %s", sm_error(NULL));
}

void
siege_serve(struct siege *s)
{
	increment(s, &s->client);
}

static void
serve_newcomer(struct siege *s)
{
	struct client newcomer;

	client_expect_open(&newcomer, &s->daemon, SIEGE_FILE, SIEGE_SEGMENT);
	increment(s, &newcomer);
	client_close(&newcomer);
}

/* Waits until the server has that many descriptors. */
static void
await_fds(const struct siege *s, int64_t fds)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int64_t now;

	while ((now = procfs_usage(s->daemon.pid).fds) != fds) {
		if (clock_now() > deadline)
			fail_msg("the server's descriptors: expected %ld, got %ld", (long)fds,
			    (long)now);
		patience_breathe();
	}
}

/*
 * Waits until the server has no more memory than before, except for what its additional connections
 * may keep; it may take some time to free memory.
 */
static void
await_memory(const struct siege *s, const struct procfs_usage *before, int64_t connections)
{
	int64_t most = before->memory + SIEGE_TOLERANCE + connections * SIEGE_CONNECTION;
	uint64_t deadline = patience_until(GIVE_BACK_MS);
	int64_t now;

	if (patience_is_sanitized())
		return;
	while ((now = procfs_usage(s->daemon.pid).memory) > most) {
		if (clock_now() > deadline)
			fail_msg("the server's memory: %ld KiB before, %ld KiB after",
			    (long)before->memory / 1024, (long)now / 1024);
		patience_breathe();
	}
}

void
siege_begin(struct siege *s, const struct daemon_config *config)
{
	int64_t fds;
	int i;

	*s = (struct siege){ .expected = 0 };
	daemon_open(&s->daemon, config);
	client_expect_open(&s->client, &s->daemon, SIEGE_FILE, SIEGE_SEGMENT);
	siege_serve(s);
	fds = procfs_usage(s->daemon.pid).fds;
	for (i = 0; i < WARM_UP_ROUNDS; i++) {
		serve_newcomer(s);
		siege_serve(s);
	}
	await_fds(s, fds);
	s->start = s->before = procfs_usage(s->daemon.pid);
}

void
siege_end(struct siege *s)
{
	siege_serve(s);
	await_fds(s, s->start.fds);
	await_memory(s, &s->start, 0);
	client_close(&s->client);
	daemon_stop(&s->daemon);
}

void
siege_fini(struct siege *s)
{
	client_close(&s->client);
	daemon_fini(&s->daemon);
}

int
siege_teardown(void **state)
{
	siege_fini(*state);
	return 0;
}

int
siege_attack_setup(void **state)
{
	siege_attack(*state);
	return 0;
}

int
siege_attack_teardown(void **state)
{
	(void)state;
	raw_abandon();
	return 0;
}

void
siege_attack(struct siege *s)
{
	s->mark = daemon_log_mark(&s->daemon);
	procfs_reset_peak(s->daemon.pid);
	s->before = procfs_usage(s->daemon.pid);
}

void
siege_expect_peak(const struct siege *s, int64_t size)
{
	int64_t peak = procfs_usage(s->daemon.pid).peak;

	if (!patience_is_sanitized() && peak > s->before.peak + size)
		fail_msg("the server's memory rose by %ld KiB, at most %ld KiB were expected",
		    (long)(peak - s->before.peak) / 1024, (long)size / 1024);
}

static void
expect_lines(struct siege *s, unsigned closed, const char *reason)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	char peer[PEER_SIZE];
	unsigned all, right, least;

	if (closed == SIEGE_ANY)
		return;
	snprintf(peer, sizeof peer, "pid %ld uid ", (long)getpid());
	/* The log tells a burst of lines about one peer, then one a second (loglimit.h). */
	s->told += closed;
	least = s->told > LOGLIMIT_BURST ? 0 : closed;
	while ((all = daemon_log_complaints(&s->daemon, s->mark)) < least && clock_now() < deadline)
		patience_breathe();
	right = daemon_log_count(&s->daemon, s->mark, peer, reason);
	if (all == right && all >= least && all <= closed)
		return;
	daemon_log_show(&s->daemon, s->mark);
	fail_msg("expected %u lines with \"%s\" and \"%s\", got %u of %u lines", closed, peer,
	    reason, right, all);
}

void
siege_lift(struct siege *s, int64_t connections, unsigned closed, const char *reason)
{
	siege_serve(s);
	serve_newcomer(s);
	await_fds(s, s->start.fds + connections);
	expect_lines(s, closed, reason);
	await_memory(s, &s->before, connections);
}
