/*
 * The first calls of a forked child, frame by frame (PROTOCOL 6): one that gives up at its deadline
 * costs no other file anything, and the next one waits for the same answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
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

enum {
	LIFE = 0x10, /* and the parent's descriptor: that of a file */
	WAITING_MS = 100
};

static struct sm_file *other; /* "/g" */
static atomic_bool *flags;    /* two, shared by script and child */

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

/* Replies to a STAT of a file of that life. */
static void
answer_life(unsigned life)
{
	char reply[160];

	snprintf(reply, sizeof reply,
	    "%016x " U64_0 " " U64_0 " 00 " U64_0 " 00000001 00000000 " U64_0, life);
	rig_answer(0, reply);
}

static void
serve_stat(const char *fd, unsigned life)
{
	rig_take(OP_STAT, fd);
	answer_life(life);
}

/* The parent asks for the life of each of its files. */
static void
serve_parents_stat(void)
{
	if (rig_take_any() != OP_STAT || rig.body_size != 4)
		rig_surprise("expected STAT");
	answer_life(LIFE + rig.body[3]);
}

/* A fork whose child has a connection, and loses it; it then opens "/g" anew and locks it. */
static void
serve_lost_child(void)
{
	int parent, child;

	greet_parent();
	rig_serve(OP_FORK, "", IDENT);
	parent = rig.fd;
	accept_child();
	rig_serve(OP_CHILD_ATTACH, IDENT, "");
	child = rig.fd;
	rig.fd = parent;
	serve_parents_stat();
	serve_parents_stat();
	rig_hang_up();
	close(child);
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, G, "00000000");
	serve_stat("00000000", LIFE + 8);
	rig_serve(OP_ACQUIRE, "00000000 01 " FOREVER " " U64_0, GRANT);
}

static void
take_release_of_other(void)
{
	rig_take(OP_RELEASE, "00000000 0000000000000005 01");
}

/* A section of "/f", opened anew, and another one of "/g". */
static void
serve_sections(void)
{
	rig_serve(OP_ACQUIRE, "00000001 01 " FOREVER " " U64_0, GRANT);
	rig_take(OP_RELEASE, "00000001 0000000000000005 01");
	rig_serve(OP_ACQUIRE, "00000000 01 " FOREVER " " U64_0, GRANT);
	take_release_of_other();
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

/* A child that connects in its first call, and has a section of "/f". */
static void
serve_first_section(void)
{
	accept_child();
	rig_serve(OP_CHILD_ATTACH, IDENT, "");
	rig_serve(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0, GRANT);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01");
}

static void
await_child(void)
{
	if (!child_await(&flags[0], PATIENCE_MS))
		rig_surprise("expected the child's next step");
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

/* With the lock of "/g". */
static void
lose_connection(void)
{
	closefrom(3);
	child_expect(sm_lock(other) == 0, "the lock of the other file");
}

static void
expect_other_unharmed(void)
{
	if (sm_unlock(other) == 0)
		return;
	fprintf(stderr, "%s\n", sm_error(rig.sm));
	child_expect(false, "the other file keeps its connection");
}

/* For the test: the child lives; the script must be done. */
static void
run_with(const char *options, rig_script *script, void (*live)(void))
{
	pid_t pid;

	atomic_store(&flags[0], false);
	atomic_store(&flags[1], false);
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

/* A child that has lost its connection. */

/* The OPEN of its first call is answered when that has given up. */
static void
answer_open_late(void)
{
	uint16_t tag;

	serve_lost_child();
	rig_take(OP_OPEN, F);
	tag = rig.tag;
	take_release_of_other();
	rig_answer_tag(tag, 0, "00000001");
	serve_stat("00000001", LIFE + 7);
}

static void
serve_late_open(void)
{
	answer_open_late();
	serve_sections();
}

static void
give_up_first_call(void)
{
	lose_connection();
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	expect_other_unharmed();
	expect_section(rig.file, "a section of the file");
	expect_section(other, "a section of the other file");
}

static void
an_open_that_is_given_up_is_adopted_by_the_next_call(void **state)
{
	(void)state;
	run(serve_late_open, give_up_first_call);
}

static void
serve_late_stat(void)
{
	uint16_t tag;

	serve_lost_child();
	rig_serve(OP_OPEN, F, "00000001");
	rig_take(OP_STAT, "00000001");
	tag = rig.tag;
	take_release_of_other();
	rig.tag = tag;
	answer_life(LIFE + 7);
	serve_stat("00000001", LIFE + 7);
	serve_sections();
}

static void
a_file_that_was_opened_anew_is_not_opened_again(void **state)
{
	(void)state;
	run(serve_late_stat, give_up_first_call);
}

static void
serve_changed(void)
{
	serve_lost_child();
	rig_serve(OP_OPEN, F, "00000001");
	serve_stat("00000001", LIFE + 1);
	rig_take(OP_CLOSE, "00000001");
	take_release_of_other();
}

static void
find_another_file(void)
{
	lose_connection();
	child_expect(lock_in_time(rig.file) == ESTALE, "ESTALE");
	expect_other_unharmed();
}

static void
nobody_waits_for_the_close_of_another_file(void **state)
{
	(void)state;
	run(serve_changed, find_another_file);
}

static void
serve_close_of_late_open(void)
{
	answer_open_late();
	rig_serve(OP_CLOSE, "00000001", "");
	rig_serve(OP_ACQUIRE, "00000000 01 " FOREVER " " U64_0, GRANT);
	take_release_of_other();
}

static void
close_after_giving_up(void)
{
	lose_connection();
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	expect_other_unharmed();
	child_expect(sm_close(rig.file) == 0, "sm_close");
	expect_section(other, "a section of the other file");
}

static void
a_file_whose_open_was_given_up_is_closed_at_the_server(void **state)
{
	(void)state;
	run(serve_close_of_late_open, close_after_giving_up);
}

static void
serve_open_without_an_answer(void)
{
	serve_lost_child();
	rig_take(OP_OPEN, F);
	take_release_of_other();
	rig_take_end();
}

static void
expect_silence_to_end_it(void)
{
	lose_connection();
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	expect_other_unharmed();
	child_expect(sm_close(rig.file) == -1 && errno == ETIMEDOUT, "ETIMEDOUT of sm_close");
	child_expect(sm_lock(other) == -1 && errno == ENOTCONN, "ENOTCONN");
	sm_free(rig.sm);
}

static void
an_open_that_is_never_answered_ends_the_connection(void **state)
{
	(void)state;
	run_with("silence=1", serve_open_without_an_answer, expect_silence_to_end_it);
}

/* The child of that child has the descriptor in its copy. */
static void
serve_fork_beside_an_open(void)
{
	uint16_t opening;
	int child;

	serve_lost_child();
	rig_take(OP_OPEN, F);
	opening = rig.tag;
	take_release_of_other();
	rig_take(OP_FORK, "");
	rig_answer_tag(opening, 0, "00000001");
	rig_answer(0, IDENT);
	child = rig.fd;
	accept_child();
	rig_serve(OP_CHILD_ATTACH, IDENT, "");
	serve_stat("00000001", LIFE + 7);
	serve_sections();
	rig_hang_up();
	rig.fd = child;
	serve_stat("00000001", LIFE + 7);
	serve_sections();
}

static void
fork_after_giving_up(void)
{
	pid_t pid;

	lose_connection();
	child_expect(lock_in_time(rig.file) == ETIMEDOUT, "ETIMEDOUT");
	expect_other_unharmed();
	pid = child_fork();
	if (pid != 0)
		child_expect(child_has_ended_well(pid), "its child");
	expect_section(rig.file, "a section of the file");
	expect_section(other, "a section of the other file");
}

static void
a_child_forked_beside_an_open_has_its_descriptor(void **state)
{
	(void)state;
	run(serve_fork_beside_an_open, fork_after_giving_up);
}

/* Another thread is about to open "/f" anew. */
static void
serve_fork_before_an_open(void)
{
	struct pollfd p;
	int child;

	serve_lost_child();
	take_release_of_other();
	rig_take(OP_FORK, "");
	atomic_store(&flags[1], true);
	await_child();
	child = rig.fd;
	p = (struct pollfd){ .fd = child, .events = POLLIN };
	if (poll(&p, 1, WAITING_MS) != 0)
		rig_surprise("expected no request before FORK is answered");
	rig_answer(0, IDENT);
	accept_child();
	rig_serve(OP_CHILD_ATTACH, IDENT, "");
	rig_hang_up();
	rig.fd = child;
	rig_serve(OP_OPEN, F, "00000001");
	serve_stat("00000001", LIFE + 7);
	serve_sections();
}

static void *
open_anew(void *unused)
{
	child_expect(child_await(&flags[1], PATIENCE_MS), "the fork");
	atomic_store(&flags[0], true);
	expect_section(rig.file, "a section of the file");
	return unused;
}

static void
fork_beside_a_thread(void)
{
	pthread_t thread;
	pid_t pid;

	lose_connection();
	expect_other_unharmed();
	child_expect(pthread_create(&thread, NULL, open_anew, NULL) == 0, "a thread");
	pid = child_fork();
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	child_expect(child_has_ended_well(pid), "its child");
	child_expect(pthread_join(thread, NULL) == 0, "the thread");
	expect_section(other, "a section of the other file");
}

static void
a_fork_keeps_files_from_being_opened_anew(void **state)
{
	(void)state;
	if (patience_is_sanitized())
		skip(); /* their children may have no threads */
	run(serve_fork_before_an_open, fork_beside_a_thread);
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
	atomic_store(&flags[0], true);
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
	serve_first_section();
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

/* The server has no memory when the parent attaches the child's connection. */
static void
serve_fork_without_memory(void)
{
	int parent;

	greet_parent();
	rig_serve(OP_FORK, "", IDENT);
	parent = rig.fd;
	accept_child();
	rig_take(OP_CHILD_ATTACH, IDENT);
	rig_answer(12, "");
	rig_hang_up();
	rig.fd = parent;
	rig_hang_up();
	serve_first_section();
}

static void
use_the_file(void)
{
	expect_section(rig.file, "a section of the file");
}

static void
a_copy_that_the_fork_could_not_take_is_left_to_the_child(void **state)
{
	(void)state;
	run(serve_fork_without_memory, use_the_file);
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
	flags = child_share(2 * sizeof *flags);
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
		TEST(an_open_that_is_given_up_is_adopted_by_the_next_call),
		TEST(a_file_that_was_opened_anew_is_not_opened_again),
		TEST(nobody_waits_for_the_close_of_another_file),
		TEST(a_file_whose_open_was_given_up_is_closed_at_the_server),
		TEST(an_open_that_is_never_answered_ends_the_connection),
		TEST(a_child_forked_beside_an_open_has_its_descriptor),
		TEST(a_fork_keeps_files_from_being_opened_anew),
		TEST(a_child_that_gives_up_attaching_loses_nothing),
		TEST(an_ident_is_good_until_the_server_has_answered),
		TEST(a_copy_that_the_fork_could_not_take_is_left_to_the_child),
		TEST(an_ident_that_the_server_does_not_know_is_not_tried_again),
		TEST(a_child_that_gives_up_attaching_can_free_its_set),
	};

	return cmocka_run_group_tests(tests, share, NULL);
}
