/*
 * What the client asks a server with extensions, and what fails without them (PROTOCOL 5.1,
 * PROTOCOL 5.10).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/stress/testpoint.h"
#include "tests/unit/rig.h"

#define EXTENSIONS "00000002"
#define NEW (SM_OPEN_CREATE | SM_OPEN_EXCLUSIVE)

static int
open_flags(const char *path, int flags)
{
	return sm_open_flags(rig.sm, path, flags) != NULL ? 0 : -1;
}

/* A client with extensions says, behind HELLO, which process it is. */
static void
greet(void)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%08x", (unsigned)getpid());
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(0, "00000002 " EXTENSIONS " 00001000 00100000 " RIG_INSTANCE);
	rig.has_tags = true;
	rig_serve(OP_PROCESS, pid, "");
	rig_serve(OP_NEW_FDTABLE, "", "");
}

static void
serve_opens(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_OPEN2, "00000000 00000002 2f67", "00000008");
	rig_serve(OP_OPEN2, "00000003 00000002 2f68", "00000009");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_take(OP_OPEN2, "00000000 00000002 2f6a");
	rig_answer(2, "");
	rig_take(OP_OPEN2, "00000003 00000002 2f6b");
	rig_answer(17, "");
}

static void
other_flags_than_create_are_an_open2(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_opens);
	OK(open_flags("/m/g", 0));
	OK(open_flags("/m/h", NEW));
	OK(open_flags("/m/i", SM_OPEN_CREATE | SM_OPEN_OWNER));
	/* Open in this process: the server is not asked. */
	OK(open_flags("/m/f", 0));
	FAILS(open_flags("/m/g", NEW), EEXIST);
	FAILS(open_flags("/m/l", SM_OPEN_EXCLUSIVE), EINVAL);
	FAILS(open_flags("/m/j", SM_OPEN_OWNER), ENOENT);
	FAILS(open_flags("/m/k", NEW), EEXIST);
	rig_end();
}

#define STAT_REPLY "0000000000000011 " U64_0 " " U64_0 " 00 " U64_0 " 00000001 00000000 " U64_0 " "

static void
serve_holders(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_STAT, "00000007 00000001", STAT_REPLY "00 00000000");
	rig_serve(OP_STAT, "00000007 00000001", STAT_REPLY "01 80000001");
	rig_serve(OP_STAT, "00000007 00000001", STAT_REPLY "02 00000000");
	/* This process holds the lock, and the server does not know which that is. */
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0, "0000000000000004 " U64_0);
	rig_serve(OP_STAT, "00000007 00000001", STAT_REPLY "02 00000000");
	rig_take(OP_RELEASE, "00000007 0000000000000004 01");
	rig_serve(OP_STAT, "00000007", STAT_REPLY);
	rig_serve(OP_STAT, "00000007 00000001", STAT_REPLY "03 00000001");
	rig_take_end();
}

static void
expect_holder(uint32_t mode, int64_t pid)
{
	struct sm_holder h;

	OK(sm_holder(rig.file, &h));
	if (h.mode != mode || h.pid != pid)
		fail_msg("expected %u, %ld, got %u, %ld", mode, (long)pid, h.mode, (long)h.pid);
}

static void
the_holder_is_what_the_server_says(void **state)
{
	struct sm_holder h;
	struct sm_stat s;

	(void)state;
	rig_begin_with(NULL, serve_holders);
	expect_holder(0, -1);
	expect_holder(SM_WRITE, 0x80000001);
	expect_holder(SM_READ, -1);
	OK(sm_rdlock(rig.file));
	expect_holder(SM_READ, getpid());
	OK(sm_unlock(rig.file));
	OK(sm_stat(rig.file, &s));
	FAILS(sm_holder(rig.file, &h), EPROTO);
	rig_end();
}

static void
greet_and_map(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_MMAP, "00000007 00003005", "");
}

static void
serve_changes(void)
{
	greet_and_map();
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000003 00000001 00000000 00000001 41");
	rig_take(OP_ACQUIRE, "00000007 03 00000000 0000000000000003");
	rig_answer(11, "");
	rig_take(OP_ACQUIRE, "00000007 03 " FOREVER " 0000000000000003");
	rig_answer(35, "");
	rig_serve(OP_ACQUIRE, "00000007 03 " FOREVER " 0000000000000003",
	    "0000000000000005 0000000000000003 " NO_BLOCKS);
	rig_serve(OP_RELEASE, "00000007 0000000000000005 04 00000001 00000001 00000001 42",
	    "0000000000000005");
	rig_serve(OP_ACQUIRE, "00000007 03 " FOREVER " 0000000000000005",
	    "0000000000000006 0000000000000005 " NO_BLOCKS);
	/* Nothing was written. */
	rig_serve(OP_RELEASE, "00000007 0000000000000006 04 " NO_BLOCKS, "0000000000000005");
	rig_take(OP_RELEASE, "00000007 0000000000000006 01 " NO_BLOCKS);
	rig_grant("0000000000000005", "0000000000000007", "0000000000000005" NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000007 04 00000001 00000002 00000001 43");
	rig_answer(116, "");
	/* The replica was void. */
	rig_grant(U64_0, "0000000000000008", "0000000000000005" NO_BLOCKS);
}

static void
reading_and_writing_change_without_letting_go(void **state)
{
	uint64_t life, grant;

	(void)state;
	rig_begin(serve_changes);
	OK(sm_rdlock(rig.file));
	FAILS(sm_trylock(rig.file), EAGAIN);
	FAILS(sm_lock(rig.file), EDEADLK);
	OK(sm_lock(rig.file));
	rig.segment[1] = 'B';
	OK(sm_downgrade(rig.file));
	FAILS(sm_downgrade(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	OK(sm_downgrade(rig.file));
	OK(sm_unlock(rig.file));
	FAILS(sm_downgrade(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	rig.segment[2] = 'C';
	/* The lock was taken away. */
	FAILS(sm_downgrade(rig.file), ESTALE);
	FAILS(sm_grant(rig.file, &life, &grant), ENOLCK);
	FAILS(sm_unlock(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	rig_end();
}

/* Takes an upgrade and then its CANCEL, without answers. Returns the tag of the upgrade. */
static uint16_t
take_cancelled_upgrade(void)
{
	uint16_t tag;
	char hex[16];

	if (rig_take_any() != OP_ACQUIRE || rig.body_size != 17 || rig.body[4] != PROTOCOL_UPGRADE)
		rig_surprise("expected an upgrade");
	tag = rig.tag;
	snprintf(hex, sizeof hex, "%08x", tag);
	rig_take(OP_CANCEL, hex);
	return tag;
}

/* The same; then answers the one with that, the other with success, and a STAT. */
static void
serve_cancelled_upgrade(uint32_t status, const char *reply)
{
	uint16_t tag = take_cancelled_upgrade();

	rig_answer_tag(tag, status, reply);
	rig_answer(0, "");
	rig_serve(OP_STAT, "00000007", STAT_REPLY);
}

static void
serve_cancelled_upgrades(void)
{
	greet_and_map();
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000003 " NO_BLOCKS);
	serve_cancelled_upgrade(125, "");
	/* It was granted before: the lock is shared under its number. */
	serve_cancelled_upgrade(0, "0000000000000007 0000000000000003 " NO_BLOCKS);
	rig_serve(OP_ACQUIRE, "00000007 03 " FOREVER " 0000000000000003",
	    "0000000000000008 0000000000000003 " NO_BLOCKS);
	rig_serve(OP_RELEASE, "00000007 0000000000000008 04 " NO_BLOCKS, "0000000000000003");
	serve_cancelled_upgrade(0, "0000000000000009 0000000000000003 " NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000009 01 " NO_BLOCKS);
	rig_grant("0000000000000003", "000000000000000a", "0000000000000003" NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 000000000000000a 01 " NO_BLOCKS);
}

/* Its deadline is over. */
static int
lock_briefly(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec -= ts.tv_sec > 0;
	return sm_timedlock(rig.file, &ts);
}

/* The answers to an upgrade that is given up, and to its CANCEL, come before that to a STAT. */
static void
give_up(void)
{
	struct sm_stat s;

	FAILS(lock_briefly(), ETIMEDOUT);
	OK(sm_stat(rig.file, &s));
}

static void
an_upgrade_that_is_given_up_leaves_the_lock_shared(void **state)
{
	(void)state;
	rig_begin(serve_cancelled_upgrades);
	OK(sm_rdlock(rig.file));
	give_up();
	give_up();
	OK(sm_lock(rig.file));
	OK(sm_downgrade(rig.file));
	give_up();
	FAILS(sm_rdlock(rig.file), EDEADLK);
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	rig_end();
}

static atomic_bool may_answer; /* the server of the running test */

static void
await_leave(void)
{
	while (!atomic_load(&may_answer))
		patience_breathe();
}

static void
serve_silently(void)
{
	uint16_t tag;

	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000000");
	tag = take_cancelled_upgrade();
	await_leave();
	/* By now the file has a segment. */
	rig_answer_tag(tag, 0, "0000000000000005 0000000000000000 " NO_BLOCKS);
	rig_answer(0, "");
	rig_take(OP_RELEASE, "00000007 0000000000000005 01 " NO_BLOCKS);
	rig_serve(OP_STAT, "00000007", STAT_REPLY);
}

/* It waits for no answer: the server gives none before. */
static void
an_upgrade_that_is_given_up_waits_for_no_answer(void **state)
{
	struct sm_stat s;

	(void)state;
	atomic_store(&may_answer, false);
	rig_begin_with(NULL, serve_silently);
	OK(sm_rdlock(rig.file));
	FAILS(lock_briefly(), ETIMEDOUT);
	/* Another one waits for the answer to the first, and sends nothing. */
	FAILS(lock_briefly(), ETIMEDOUT);
	FAILS(sm_trylock(rig.file), ETIMEDOUT);
	FAILS(sm_rdlock(rig.file), EDEADLK);
	atomic_store(&may_answer, true);
	OK(sm_unlock(rig.file));
	OK(sm_stat(rig.file, &s));
	rig_end();
}

static void
serve_late(void)
{
	uint16_t tag;

	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000000");
	tag = take_cancelled_upgrade();
	await_leave();
	rig_answer_tag(tag, 0, "0000000000000005 0000000000000000");
	rig_answer(0, "");
	rig_serve(OP_STAT, "00000007", STAT_REPLY);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01");
}

/* In another thread this would be: it reads the answers to the upgrade before that to its STAT. */
static void
read_answers(const char *step, void *unused)
{
	struct sm_stat s;

	(void)step;
	(void)unused;
	atomic_store(&may_answer, true);
	OK(sm_stat(rig.file, &s));
}

/* The upgrade was granted: that is the grant to release, although the wait for it had ended. */
static void
an_answer_that_comes_behind_the_wait_for_it_counts(void **state)
{
	(void)state;
	atomic_store(&may_answer, false);
	rig_begin_with("silence=3", serve_late);
	OK(sm_rdlock(rig.file));
	FAILS(lock_briefly(), ETIMEDOUT);
	testpoint_plan_call("upgrade: waited", 1, read_answers, NULL);
	OK(sm_unlock(rig.file));
	testpoint_forget();
	rig_end();
}

static void
serve_and_end(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000000");
	(void)take_cancelled_upgrade();
	await_leave();
}

static void
the_connection_may_end_before_the_answer(void **state)
{
	(void)state;
	atomic_store(&may_answer, false);
	rig_begin_with(NULL, serve_and_end);
	OK(sm_rdlock(rig.file));
	FAILS(lock_briefly(), ETIMEDOUT);
	atomic_store(&may_answer, true);
	FAILS(sm_unlock(rig.file), ECONNRESET);
	FAILS(sm_unlock(rig.file), ENOLCK);
	rig_end();
}

static void
serve_silence(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000000");
	(void)take_cancelled_upgrade();
	rig_take_end();
}

static void
a_release_waits_for_the_answer_as_long_as_the_silence(void **state)
{
	(void)state;
	rig_begin_with("silence=1", serve_silence);
	OK(sm_rdlock(rig.file));
	FAILS(lock_briefly(), ETIMEDOUT);
	FAILS(sm_unlock(rig.file), ETIMEDOUT);
	FAILS(sm_unlock(rig.file), ENOLCK);
	rig_end();
}

static void
serve_lost_lease(void)
{
	greet();
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000000");
	rig_take(OP_ACQUIRE, "00000007 03 " FOREVER " " U64_0);
	rig_answer(22, "");
	rig_take(OP_RELEASE, "00000007 0000000000000004 01");
}

/* To the server, the descriptor holds nothing. */
static void
an_upgrade_of_a_lock_that_was_taken_away_is_estale(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_lost_lease);
	OK(sm_rdlock(rig.file));
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_without(void)
{
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0, "0000000000000004 " U64_0);
	rig_take(OP_RELEASE, "00000007 0000000000000004 01");
	rig_serve(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0, "0000000000000005 " U64_0);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_serve(OP_CLOSE, "0000000a", "");
}

static void
serve_version_1(void)
{
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(38, "");
	rig_serve(OP_NEW_FDTABLE, "", "");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	rig_serve(OP_LOCK, "00000007 00", "00");
	rig_serve(OP_UNLOCK, "00000007 00", "");
	rig_serve(OP_LOCK, "00000007 00", "00");
	rig_serve(OP_UNLOCK, "00000007 00", "");
	rig_serve(OP_OPEN, "00000002 2f69", "0000000a");
	rig_serve(OP_CLOSE, "0000000a", "");
}

static void
expect_enotsup(rig_script *script)
{
	struct sm_holder h;
	struct sm_file *owner;

	rig_begin_with(NULL, script);
	FAILS(sm_holder(rig.file, &h), ENOTSUP);
	/* What is held stays so. */
	OK(sm_rdlock(rig.file));
	FAILS(sm_lock(rig.file), ENOTSUP);
	FAILS(sm_rdlock(rig.file), EDEADLK);
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	FAILS(sm_downgrade(rig.file), ENOTSUP);
	FAILS(sm_lock(rig.file), EDEADLK);
	OK(sm_unlock(rig.file));
	FAILS(open_flags("/m/g", 0), ENOTSUP);
	FAILS(open_flags("/m/h", NEW), ENOTSUP);
	OK(open_flags("/m/f", 0));
	FAILS(open_flags("/m/f", NEW), EEXIST);
	owner = sm_open_flags(rig.sm, "/m/i", SM_OPEN_CREATE | SM_OPEN_OWNER);
	assert_non_null(owner);
	OK(sm_close(owner));
	rig_end();
}

static void
without_extensions_what_needs_them_fails(void **state)
{
	(void)state;
	expect_enotsup(serve_without);
	expect_enotsup(serve_version_1);
}

static int
teardown(void **state)
{
	(void)state;
	atomic_store(&may_answer, true);
	rig_abandon();
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(other_flags_than_create_are_an_open2),
		TEST(the_holder_is_what_the_server_says),
		TEST(reading_and_writing_change_without_letting_go),
		TEST(an_upgrade_that_is_given_up_leaves_the_lock_shared),
		TEST(an_upgrade_that_is_given_up_waits_for_no_answer),
		TEST(an_answer_that_comes_behind_the_wait_for_it_counts),
		TEST(the_connection_may_end_before_the_answer),
		TEST(a_release_waits_for_the_answer_as_long_as_the_silence),
		TEST(an_upgrade_of_a_lock_that_was_taken_away_is_estale),
		TEST(without_extensions_what_needs_them_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
