/*
 * A server that is stopped, or sends a byte a second: every public function returns within its
 * bound (smclient(3), A server that does not answer). A timed call and a try cost the other files
 * of the mount nothing. Each call is made by a client of its own, whose connection may end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/slowproxy.h"

enum {
	SILENCE_MS = 2000, /* see OPTIONS */
	SEGMENT = 4096,
	TIMED_MS = 200,
	TIMED_MOST_MS = TIMED_MS + 50,
	TRY_MOST_MS = 1000,
	FORK_MOST_MS = 1000,
	SLACK_MS = 200 /* to begin and end a call that is not timed */
};

#define OPTIONS "silence=2"

static struct daemon server;
static struct slowproxy proxy;

/* The calls. Each returns 0, or an errno. */

static int
result_of(bool is_right)
{
	return is_right ? 0 : errno;
}

static int
call_open(struct client *c)
{
	return result_of(sm_open(c->sm, CLIENT_MOUNT "/fresh") != NULL);
}

static int
call_map(struct client *c)
{
	return result_of(sm_map(c->file, NULL, SEGMENT) != NULL);
}

static int
call_close(struct client *c)
{
	return result_of(sm_close(c->file) == 0);
}

static int
call_unmap(struct client *c)
{
	void *address = c->segment;

	return result_of(sm_unmap(c->sm, address) == 0 && sm_close(c->file) == 0);
}

static int
call_lock(struct client *c)
{
	return result_of(sm_lock(c->file) == 0);
}

static int
call_rdlock(struct client *c)
{
	return result_of(sm_rdlock(c->file) == 0);
}

static int
call_trylock(struct client *c)
{
	return result_of(sm_trylock(c->file) == 0);
}

static int
call_timedlock(struct client *c)
{
	return client_lock_for(c, TIMED_MS);
}

static int
call_stat(struct client *c)
{
	struct sm_stat s;

	return result_of(sm_stat(c->file, &s) == 0);
}

static int
call_free(struct client *c)
{
	client_close(c);
	return ETIMEDOUT;
}

static int
call_fork(struct client *c)
{
	pid_t pid = fork();

	(void)c;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return ETIMEDOUT;
}

static const struct call {
	const char *name;
	int (*run)(struct client *c);
	int error; /* that it returns */
	uint64_t most_ms;
	bool is_mapped;   /* the file, before the call */
	bool is_harmless; /* the connection lives on, and so does the file */
} calls[] = {
	{ "sm_open", call_open, ETIMEDOUT, SILENCE_MS + SLACK_MS, false, false },
	{ "sm_map", call_map, ETIMEDOUT, SILENCE_MS + SLACK_MS, false, false },
	{ "sm_close", call_close, ETIMEDOUT, SILENCE_MS + SLACK_MS, false, false },
	{ "sm_unmap, sm_close", call_unmap, ETIMEDOUT, SILENCE_MS + SLACK_MS, true, false },
	{ "sm_lock", call_lock, ECONNRESET, SILENCE_MS + SLACK_MS, true, false },
	{ "sm_rdlock", call_rdlock, ECONNRESET, SILENCE_MS + SLACK_MS, true, false },
	{ "sm_trylock", call_trylock, ETIMEDOUT, TRY_MOST_MS, true, true },
	{ "sm_timedlock", call_timedlock, ETIMEDOUT, TIMED_MOST_MS, true, true },
	{ "sm_stat", call_stat, ETIMEDOUT, SILENCE_MS + SLACK_MS, true, false },
	{ "sm_free", call_free, ETIMEDOUT, SILENCE_MS + SLACK_MS, true, false },
	{ "fork", call_fork, ETIMEDOUT, FORK_MOST_MS + SLACK_MS, true, true },
};

static void
begin_client(struct client *c, const char *address, const struct call *call)
{
	*c = (struct client){ .sm = client_create_as(&server, address, "client", OPTIONS) };
	if (!client_open_file(c, CLIENT_MOUNT "/file", call->is_mapped ? SEGMENT : 0))
		fail_msg("%s: the file cannot be opened: %s", call->name, sm_error(c->sm));
}

/* The call after the silence: the file works as if nothing had been. */
static void
expect_no_harm(struct client *c, const struct call *call)
{
	if (client_lock_within(c, PATIENCE_MS) != 0 || sm_unlock(c->file) != 0)
		fail_msg("%s: the file is lost afterwards: %s", call->name, sm_error(c->sm));
}

/* Makes a call between begin() and end(), while the server is silent. */
static void
try_call(const struct call *call, const char *address, void (*begin)(void), void (*end)(void))
{
	struct client c;
	uint64_t begun, took;
	int error;

	begin_client(&c, address, call);
	begin();
	begun = clock_now();
	error = call->run(&c);
	took = clock_now() - begun;
	end();
	print_message("# %-18s %6.0f ms\n", call->name, (double)took / CLOCK_MS);
	if (error != call->error)
		fail_msg("%s: expected %s, got %s", call->name, strerror(call->error),
		    strerror(error));
	if (patience_is_over(took, call->most_ms))
		fail_msg("%s: expected to return within %lu ms, took %lu", call->name,
		    (unsigned long)call->most_ms, (unsigned long)(took / CLOCK_MS));
	if (call->is_harmless)
		expect_no_harm(&c, call);
	client_close(&c);
}

static void
stop_server(void)
{
	daemon_signal(&server, SIGSTOP);
}

static void
continue_server(void)
{
	daemon_signal(&server, SIGCONT);
}

static void
a_stopped_server(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof calls / sizeof calls[0]; i++)
		try_call(&calls[i], server.address, stop_server, continue_server);
}

#define OTHER_MOUNT "/other"

/* The exit status of a child that uses a file of the other server. */
static int
run_child(struct client *c)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(client_lock_within(c, PATIENCE_MS));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Its mount comes first, and uses up its own part of the second only. */
static void
a_stopped_server_does_not_cost_a_forked_child_the_files_of_another(void **state)
{
	struct daemon other;
	struct client c, d;
	int status;

	(void)state;
	daemon_open(&other, &(struct daemon_config){ .pki = server.config.pki });
	begin_client(&c, server.address, &calls[0]);
	d = (struct client){ .sm = c.sm };
	assert_int_equal(sm_mount(c.sm, other.address, OTHER_MOUNT, "smdish", NULL), 0);
	assert_true(client_open_file(&d, OTHER_MOUNT "/file", SEGMENT));
	stop_server();
	status = run_child(&d);
	continue_server();
	client_close(&c);
	daemon_close(&other);
	if (status != 0)
		fail_msg("the child's lock: expected success, got %s",
		    strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR));
}

static void
slow_down(void)
{
	atomic_store(proxy.is_slow, true);
}

static void
speed_up(void)
{
	atomic_store(proxy.is_slow, false);
}

static void
a_server_that_sends_a_byte_a_second(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof calls / sizeof calls[0]; i++)
		try_call(&calls[i], proxy.address, slow_down, speed_up);
}

/* At the fork another thread is closing a file, which has no handle any more. */

static void *
close_file(void *arg)
{
	(void)sm_close(arg);
	return NULL;
}

static void
a_child_forked_beside_a_close_can_free_its_set(void **state)
{
	static const struct call fork_beside = { .name = "fork" };
	struct client c;
	pthread_t thread;
	pid_t pid;

	(void)state;
	begin_client(&c, server.address, &fork_beside);
	stop_server();
	assert_int_equal(pthread_create(&thread, NULL, close_file, c.file), 0);
	poll(NULL, 0, TIMED_MS);
	pid = child_begin();
	if (pid == 0) {
		alarm((unsigned)(patience_ms(PATIENCE_MS) / 1000));
		client_close(&c);
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	continue_server();
	pthread_join(thread, NULL);
	client_close(&c);
}

static int
begin_all(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .has_keys = true });
	slowproxy_begin(&proxy, &server);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	slowproxy_end(&proxy);
	daemon_close(&server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_server),
		cmocka_unit_test(
		    a_stopped_server_does_not_cost_a_forked_child_the_files_of_another),
		cmocka_unit_test(a_server_that_sends_a_byte_a_second),
		cmocka_unit_test(a_child_forked_beside_a_close_can_free_its_set),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
