/*
 * What a server that does not answer, or answers slowly, costs its clients beyond the bounds of
 * test_bounds: a forked child has the files of another server, and can free its set; a try does not
 * wait for a grant that takes long to arrive.
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
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/slowproxy.h"

enum {
	TRIES = 3,
	SEGMENT = 4096,
	PAUSE_MS = 200,
	TRY_MOST_MS = 1000,
	LARGE = 4 * SIZE_MIB,
	RATE = 2 * SIZE_MIB /* a second */
};

#define OPTIONS "silence=2"

static struct daemon server;
static struct slowproxy proxy;

static void
begin_client(struct client *c, const char *address, size_t size)
{
	*c = (struct client){ .sm = client_create_as(&server, address, "client", OPTIONS) };
	if (!client_open_file(c, CLIENT_MOUNT "/file", size))
		fail_msg("the file cannot be opened: %s", sm_error(c->sm));
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

/*
 * Its mount comes first, and uses up its own part of the second only. Where the machine stands
 * still for the rest of it, the other server's answer comes too late as well: the next fork may
 * have it.
 */
static void
a_stopped_server_does_not_cost_a_forked_child_the_files_of_another(void **state)
{
	struct daemon other;
	struct client c, d;
	int status, tries;

	(void)state;
	daemon_open(&other, &(struct daemon_config){ .pki = server.config.pki });
	begin_client(&c, server.address, 0);
	d = (struct client){ .sm = c.sm };
	assert_int_equal(sm_mount(c.sm, other.address, OTHER_MOUNT, "smdish", NULL), 0);
	assert_true(client_open_file(&d, OTHER_MOUNT "/file", SEGMENT));
	stop_server();
	status = run_child(&d);
	for (tries = 1; status != 0 && tries < TRIES; tries++)
		status = run_child(&d);
	continue_server();
	client_close(&c);
	daemon_close(&other);
	if (status != 0)
		fail_msg("the child's lock: expected success, got %s",
		    strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR));
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
	struct client c;
	pthread_t thread;
	pid_t pid;

	(void)state;
	begin_client(&c, server.address, 0);
	stop_server();
	assert_int_equal(pthread_create(&thread, NULL, close_file, c.file), 0);
	poll(NULL, 0, PAUSE_MS);
	pid = child_begin();
	if (pid == 0) {
		patience_alarm(PATIENCE_MS);
		client_close(&c);
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	continue_server();
	pthread_join(thread, NULL);
	client_close(&c);
}

/* A grant of all of a large segment, which another client has published. */
static void
publish_large(struct client *c)
{
	assert_true(client_open(c, &server, CLIENT_MOUNT "/large", LARGE));
	assert_int_equal(sm_lock(c->file), 0);
	memset(c->segment, 1, LARGE);
	assert_int_equal(sm_unlock(c->file), 0);
}

static void
expect_late_try(struct client *c)
{
	uint64_t begun = clock_now(), took;
	int error = sm_trylock(c->file) == 0 ? 0 : errno;

	took = clock_now() - begun;
	if (error != ETIMEDOUT)
		fail_msg("expected %s, got %s", strerror(ETIMEDOUT), strerror(error));
	if (patience_is_over(took, TRY_MOST_MS))
		fail_msg("expected sm_trylock to return within %d ms, took %lu", TRY_MOST_MS,
		    (unsigned long)(took / CLOCK_MS));
}

/* Each time the server has to send all of it: the replica has none of it. */
static void
a_try_fails_again_and_again_when_its_grant_takes_long_to_arrive(void **state)
{
	struct client publisher, c = { 0 };

	(void)state;
	publish_large(&publisher);
	c.sm = client_create_as(&server, proxy.address, "client", OPTIONS);
	assert_true(client_open_file(&c, CLIENT_MOUNT "/large", LARGE));
	atomic_store(proxy.rate, RATE);
	expect_late_try(&c);
	expect_late_try(&c);
	/* A call that waits has it, behind both. */
	if (sm_lock(c.file) != 0)
		fail_msg("sm_lock: %s", sm_error(c.sm));
	assert_int_equal(c.segment[LARGE - 1], 1);
	assert_int_equal(sm_unlock(c.file), 0);
	if (sm_trylock(c.file) != 0)
		fail_msg("a grant without changes: %s", sm_error(c.sm));
	atomic_store(proxy.rate, 0);
	client_close(&c);
	client_close(&publisher);
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
		cmocka_unit_test(
		    a_stopped_server_does_not_cost_a_forked_child_the_files_of_another),
		cmocka_unit_test(a_child_forked_beside_a_close_can_free_its_set),
		cmocka_unit_test(a_try_fails_again_and_again_when_its_grant_takes_long_to_arrive),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
