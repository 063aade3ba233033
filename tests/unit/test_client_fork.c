/*
 * The first calls of a forked child, frame by frame (PROTOCOL 6): one that gives up at its deadline
 * loses nothing, and the next one waits for the same answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/patience.h"
#include "tests/unit/muxrig.h"
#include "tests/unit/rig.h"

#define IDENT "0123456789abcdef"
#define F "00000002 2f66"
#define G "00000002 2f67"
#define GRANT "0000000000000005 " U64_0

static struct sm_file *other; /* "/g" */
static atomic_bool *told;     /* by the child, to the script */

/* For the script. */

static void
greet_parent(void)
{
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, F, "00000007");
	rig_serve(OP_OPEN, G, "00000008");
}

/* Accepts a connection that gets a copy. */
static void
accept_child(void)
{
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(0, "00000002 00000000 00001000 00100000 " RIG_INSTANCE);
	rig.has_tags = true;
}

/* A fork whose child has no connection, and makes one in its first call. */
static void
serve_unconnected_child(void)
{
	int parent;

	greet_parent();
	rig_serve(OP_FORK, "", IDENT);
	parent = rig.fd;
	rig_accept();
	rig_hang_up();
	rig.fd = parent;
}

static void
await_child(void)
{
	if (!child_await(told, PATIENCE_MS))
		rig_surprise("expected the child to give up");
}

/* For the child. */

static int
lock_in_time(struct sm_file *file)
{
	struct timespec soon = muxrig_soon();

	return sm_timedlock(file, &soon) == 0 ? 0 : errno;
}

static void
expect_section(struct sm_file *file, const char *what)
{
	if (sm_lock(file) != 0 || sm_unlock(file) != 0)
		fprintf(stderr, "%s\n", sm_error(rig.sm));
	else
		return;
	child_expect(false, what);
}

/* For the test: the child lives; the script must be done. */
static void
run_with(const char *options, rig_script *script, void (*live)(void))
{
	pid_t pid;

	atomic_store(told, false);
	rig_begin_with(options, script);
	other = rig_open_other();
	pid = child_begin();
	if (pid == 0) {
		live();
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	rig_end();
}

static void
run(rig_script *script, void (*live)(void))
{
	run_with(NULL, script, live);
}

/* A child without a connection. */

static void
serve_late_attach(void)
{
	serve_unconnected_child();
	rig_hang_up();
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	await_child();
	rig_answer(0, "");
	rig_serve(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0, GRANT);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01");
}

static void
give_up_attaching(void)
{
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	child_expect(lock_in_time(other) == ETIMEDOUT, "ETIMEDOUT again");
	atomic_store(told, true);
	expect_section(rig.file, "a section of the file");
}

static void
a_child_that_gives_up_attaching_loses_nothing(void **state)
{
	(void)state;
	run(serve_late_attach, give_up_attaching);
}

/* The server has no memory, then it ends the connection; the ident is good still. */
static void
serve_attach_at_last(void)
{
	serve_unconnected_child();
	rig_hang_up();
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	rig_answer(12, "");
	rig_hang_up();
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	rig_hang_up();
	accept_child();
	rig_serve(OP_CHILD_ATTACH, IDENT, "");
	rig_serve(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0, GRANT);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01");
}

static void
attach_at_last(void)
{
	child_expect(sm_lock(rig.file) == -1 && errno == ENOMEM, "ENOMEM");
	child_expect(sm_lock(rig.file) == -1 && errno == ECONNRESET, "ECONNRESET");
	expect_section(rig.file, "a section of the file");
}

static void
an_ident_is_good_until_the_server_has_answered(void **state)
{
	(void)state;
	run(serve_attach_at_last, attach_at_last);
}

static void
serve_used_ident(void)
{
	serve_unconnected_child();
	rig_hang_up();
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	rig_answer(22, "");
	rig_take_end();
}

static void
expect_stale(void)
{
	child_expect(sm_lock(rig.file) == -1 && errno == ESTALE, "ESTALE");
	child_expect(sm_lock(rig.file) == -1 && errno == ESTALE, "ESTALE again");
}

static void
an_ident_that_the_server_does_not_know_is_not_tried_again(void **state)
{
	(void)state;
	run(serve_used_ident, expect_stale);
}

static void
serve_attach_without_an_answer(void)
{
	serve_unconnected_child();
	rig_hang_up();
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	rig_take_end();
}

static void
free_after_giving_up(void)
{
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	sm_free(rig.sm);
}

static void
a_child_that_gives_up_attaching_can_free_its_set(void **state)
{
	(void)state;
	run_with("silence=1", serve_attach_without_an_answer, free_after_giving_up);
}

static int
share(void **state)
{
	(void)state;
	told = child_share(sizeof *told);
	return 0;
}

static int
abandon(void **state)
{
	(void)state;
	rig_abandon();
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, abandon)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_child_that_gives_up_attaching_loses_nothing),
		TEST(an_ident_is_good_until_the_server_has_answered),
		TEST(an_ident_that_the_server_does_not_know_is_not_tried_again),
		TEST(a_child_that_gives_up_attaching_can_free_its_set),
	};

	return cmocka_run_group_tests(tests, share, NULL);
}
