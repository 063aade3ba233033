/*
 * A server that does not answer: it is stopped, or the network is cut (TCP and TLS, in namespaces
 * of the test's own), or it sends a byte a second. Every public function returns within its bound
 * what calls.c and smclient(3) say; a timed call, a try and a fork cost the files of the mount
 * nothing. The calls are made side by side. The last lines are the table of smclient(3), in
 * seconds: with SILENCE=30, as it is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/calls.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/cutnet.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/slowproxy.h"

enum { PLAIN, LEASING, SERVERS }; /* without leases, and with them */

enum {
	SILENCE_S = 2, /* without SILENCE in the environment */
	CELL_SIZE = 32
};

/* One call: how far its process has come, and what it measured. */
struct result {
	atomic_bool is_ready;
	atomic_bool is_done;
	int error;
	uint64_t took;
};

/* Shared by all processes. */
static struct {
	atomic_bool is_held;   /* CALLS_WAITED, */
	atomic_bool is_waited; /* and another client waits for it */
	atomic_bool is_begun;  /* the trouble */
	atomic_bool is_over;
	uint64_t begun; /* when it was; written before is_begun */
	struct child_complaint complaint;
	struct result results[CALLS_TROUBLES][CALLS_COUNT];
} * shared;

static struct cutnet net;
static bool has_net, has_result[CALLS_TROUBLES];
static struct daemon servers[SERVERS] = { { .pid = -1 }, { .pid = -1 } };
static struct slowproxy proxies[SERVERS];
static pid_t callers[CALLS_COUNT], holder;
static unsigned silence;

static const char *
address_of(enum calls_trouble trouble, int server)
{
	if (trouble == CALLS_CUT)
		return servers[server].tcp;
	return trouble == CALLS_SLOW ? proxies[server].address : servers[server].address;
}

/* For a call that is to cost nothing: longer than the trouble, even when the machine stalls. */
static unsigned
silence_of(const struct call *call)
{
	return call->is_harmless ? 8 * silence : silence;
}

/* Waits longer than any call may take. */
static bool
await(const atomic_bool *flag)
{
	uint64_t deadline = patience_until(PATIENCE_MS + silence * 2000UL);

	while (!atomic_load(flag) && !atomic_load(&shared->complaint.is_made) &&
	    clock_now() < deadline)
		patience_breathe();
	return atomic_load(flag);
}

/* On a busy machine the silence may be too short for what comes before the trouble. */
static int
begin_caller(struct caller *c, enum calls_trouble trouble, const struct call *call)
{
	int server = call->has_leases ? LEASING : PLAIN, error;
	uint64_t deadline = patience_until(PATIENCE_MS);

	for (;;) {
		error = caller_begin(c, call, &servers[server], address_of(trouble, server),
		    silence_of(call));
		if (error == 0 || clock_now() >= deadline)
			return error;
		caller_end(c);
	}
}

/* In a process of its own: makes a call while there is trouble. */
static void
make_call(enum calls_trouble trouble, const struct call *call, struct result *r)
{
	struct caller c;
	uint64_t begun;

	if (trouble == CALLS_CUT && !cutnet_enter(&net))
		child_complain(&shared->complaint, "setns: %s", strerror(errno));
	if (begin_caller(&c, trouble, call) != 0)
		child_complain(&shared->complaint, "%s: before there is trouble: %s", call->name,
		    sm_error(c.client.sm));
	atomic_store(&r->is_ready, true);
	if (!call->is_waiting)
		await(&shared->is_begun);
	begun = clock_now();
	r->error = call->run(&c);
	r->took = clock_now() - (call->is_waiting ? shared->begun : begun);
	atomic_store(&r->is_done, true);
	await(&shared->is_over);
	if (caller_check(&c) != 0)
		child_complain(&shared->complaint, "%s: a file is lost afterwards: %s", call->name,
		    sm_error(c.client.sm));
	caller_end(&c);
	_exit(EXIT_SUCCESS);
}

/* In a process of its own: has the lock that a caller waits for. */
static void
hold(void)
{
	struct client c;

	if (!client_open(&c, &servers[PLAIN], CALLS_WAITED, CALLS_SIZE) || sm_lock(c.file) != 0)
		child_complain(&shared->complaint, "the holder: %s", sm_error(c.sm));
	atomic_store(&shared->is_held, true);
	if (!client_await_waiter(&c))
		child_complain(&shared->complaint, "the waiter: %s", sm_error(c.sm));
	atomic_store(&shared->is_waited, true);
	for (;;)
		pause();
}

static void
begin_holder(void)
{
	holder = child_begin();
	if (holder == 0)
		hold();
	await(&shared->is_held);
}

static void
begin_trouble(enum calls_trouble trouble)
{
	int i;

	shared->begun = clock_now();
	if (trouble == CALLS_CUT)
		cutnet_cut(&net);
	for (i = 0; i < SERVERS; i++)
		if (trouble == CALLS_STOPPED)
			daemon_signal(&servers[i], SIGSTOP);
		else if (trouble == CALLS_SLOW)
			atomic_store(proxies[i].rate, 1);
	atomic_store(&shared->is_begun, true);
}

static void
end_trouble(enum calls_trouble trouble)
{
	int i;

	if (trouble == CALLS_CUT)
		cutnet_join(&net);
	for (i = 0; i < SERVERS; i++)
		if (trouble == CALLS_STOPPED)
			daemon_signal(&servers[i], SIGCONT);
		else if (trouble == CALLS_SLOW)
			atomic_store(proxies[i].rate, 0);
	atomic_store(&shared->is_over, true);
}

/* The calls of a round: those that cost nothing, or the others. */
static bool
is_in_round(size_t i, bool is_harmless)
{
	return calls_table[i].is_harmless == is_harmless;
}

static void
begin_calls(enum calls_trouble trouble, bool is_harmless)
{
	struct result *r = shared->results[trouble];
	size_t i;

	atomic_store(&shared->is_begun, false);
	atomic_store(&shared->is_over, false);
	for (i = 0; i < CALLS_COUNT; i++) {
		if (!is_in_round(i, is_harmless))
			continue;
		callers[i] = child_begin();
		if (callers[i] == 0)
			make_call(trouble, &calls_table[i], &r[i]);
		/* One handshake after the other: many at once would exceed the silence. */
		await(&r[i].is_ready);
	}
}

static void
end_calls(enum calls_trouble trouble, bool is_harmless)
{
	struct result *r = shared->results[trouble];
	pid_t pid;
	size_t i;

	for (i = 0; i < CALLS_COUNT; i++)
		if (is_in_round(i, is_harmless))
			await(&r[i].is_done);
	end_trouble(trouble);
	for (i = 0; i < CALLS_COUNT; i++) {
		if (!is_in_round(i, is_harmless))
			continue;
		child_expect_no_complaint(&shared->complaint);
		pid = callers[i];
		callers[i] = -1;
		if (child_has_ended_well(pid))
			continue;
		child_expect_no_complaint(&shared->complaint);
		fail_msg("%s: its process has not ended well", calls_table[i].name);
	}
}

/* Returns false, and says so, when the call was not what it should be. */
static bool
is_right(enum calls_trouble trouble, size_t i)
{
	const struct call *call = &calls_table[i];
	const struct result *r = &shared->results[trouble][i];
	uint64_t most = calls_bound_ms(call, silence);
	int error = calls_error(call, trouble);

	if (r->error == error && !patience_is_over(r->took, most))
		return true;
	print_message("%s: expected %s within %lu ms, got %s after %lu\n", call->name,
	    strerror(error), (unsigned long)most, strerror(r->error),
	    (unsigned long)(r->took / CLOCK_MS));
	return false;
}

static void
try_all(enum calls_trouble trouble)
{
	unsigned wrong = 0;
	size_t i;

	begin_calls(trouble, true);
	begin_trouble(trouble);
	end_calls(trouble, true);
	begin_holder();
	begin_calls(trouble, false);
	await(&shared->is_waited);
	begin_trouble(trouble);
	end_calls(trouble, false);
	has_result[trouble] = true;
	for (i = 0; i < CALLS_COUNT; i++)
		wrong += !is_right(trouble, i);
	assert_int_equal(wrong, 0);
}

static void
a_stopped_server(void **state)
{
	(void)state;
	try_all(CALLS_STOPPED);
}

static void
a_cut_network(void **state)
{
	(void)state;
	if (!has_net) {
		print_message("# no network of namespaces can be made here\n");
		skip();
	}
	try_all(CALLS_CUT);
}

static void
a_server_that_sends_a_byte_a_second(void **state)
{
	(void)state;
	try_all(CALLS_SLOW);
}

/* After a test that failed half way, too. */
static int
end_processes(void **state)
{
	(void)state;
	child_kill_all(callers, CALLS_COUNT);
	child_kill_all(&holder, 1);
	atomic_store(&shared->is_held, false);
	atomic_store(&shared->is_waited, false);
	shared->complaint = (struct child_complaint){ 0 };
	return 0;
}

static const char *
name_of(int error)
{
	return error == 0 ? "0" : strerrorname_np(error);
}

/* Seconds, and the result where it is another one than the call's elsewhere. */
static void
put_cell(char out[CELL_SIZE], enum calls_trouble trouble, size_t i)
{
	const struct result *r = &shared->results[trouble][i];
	double seconds = (double)r->took / CLOCK_SEC;

	if (!has_result[trouble])
		snprintf(out, CELL_SIZE, "-");
	else if (r->error == calls_table[i].error)
		snprintf(out, CELL_SIZE, "%.2f", seconds);
	else
		snprintf(out, CELL_SIZE, "%.2f (%s)", seconds, name_of(r->error));
}

/* As mdoc(7) has it. */
static void
print_table(void)
{
	static const char *const bounds[] = { "at once", "deadline", "1 s", "10 s", "silence" };
	char cells[CALLS_TROUBLES][CELL_SIZE];
	const struct call *call;
	size_t i, trouble;

	print_message(".It silence=%u Ta bound Ta result Ta stopped Ta cut Ta slow\n", silence);
	for (i = 0; i < CALLS_COUNT; i++) {
		call = &calls_table[i];
		for (trouble = 0; trouble < CALLS_TROUBLES; trouble++)
			put_cell(cells[trouble], trouble, i);
		print_message(".It %s Ta %s Ta %s Ta %s Ta %s Ta %s\n", call->name,
		    bounds[call->bound], name_of(call->error), cells[CALLS_STOPPED],
		    cells[CALLS_CUT], cells[CALLS_SLOW]);
	}
}

static int
begin_all(void **state)
{
	static const char *const lease[] = { "-t", "600000" };
	struct daemon_config config = { .has_keys = true };
	const char *seconds = getenv("SILENCE");
	int i;

	(void)state;
	silence = (unsigned)patience_net_ms(SILENCE_S * 1000UL) / 1000;
	if (seconds != NULL)
		silence = (unsigned)strtoul(seconds, NULL, 10);
	shared = child_share(sizeof *shared);
	has_net = cutnet_create(&net);
	if (has_net)
		config.tcp_host = CUTNET_SERVER;
	daemon_open(&servers[PLAIN], &config);
	memcpy(config.args, lease, sizeof lease);
	config.pki = servers[PLAIN].config.pki;
	daemon_open(&servers[LEASING], &config);
	for (i = 0; i < SERVERS; i++)
		slowproxy_begin(&proxies[i], &servers[i]);
	return 0;
}

static int
end_all(void **state)
{
	int i;

	(void)state;
	print_table();
	for (i = SERVERS; i-- > 0;) {
		slowproxy_end(&proxies[i]);
		daemon_close(&servers[i]);
	}
	if (has_net)
		cutnet_destroy(&net);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, end_processes)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stopped_server),
		TEST(a_cut_network),
		TEST(a_server_that_sends_a_byte_a_second),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
