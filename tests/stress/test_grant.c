/*
 * sm_grant(): the fencing tokens of all processes rise, over all three kinds. A holder of smc whose
 * lock another process has taken over gets none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/size.h"
#include "smc/lockfile.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/smc.h"

#define NAME "fence"

struct token {
	uint64_t life, grant;
};

/* The caller holds the lock: two calls give the same token. */
static struct token
token_of(struct sm_file *f)
{
	struct token t, again;

	assert_int_equal(sm_grant(f, &t.life, &t.grant), 0);
	assert_int_equal(sm_grant(f, &again.life, &again.grant), 0);
	assert_true(t.life == again.life && t.grant == again.grant);
	return t;
}

/* Waits for the lock, in patience, and publishes a change. */
static struct token
visit(struct client *c)
{
	struct token t;

	assert_int_equal(client_lock_within(c, 10 * 1000), 0);
	t = token_of(c->file);
	++*c->words;
	assert_int_equal(sm_unlock(c->file), 0);
	return t;
}

static void
expect_no_holder(struct sm_file *f)
{
	struct token t;

	if (sm_grant(f, &t.life, &t.grant) == 0 || errno != ENOLCK)
		fail_msg("expected ENOLCK, got %s", sm_error(NULL));
}

static void *
ask_elsewhere(void *file)
{
	expect_no_holder(file);
	return NULL;
}

static void
compare_tokens(void)
{
	struct client here = { 0 }, there = { 0 };
	struct token last, next, read;
	pthread_t thread;
	int i;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	expect_no_holder(here.file);
	last = visit(&here);
	for (i = 0; i < 6; i++) {
		next = visit(i % 2 == 0 ? &there : &here);
		assert_true(next.life == last.life);
		assert_true(next.grant > last.grant);
		last = next;
	}
	assert_int_equal(sm_rdlock(there.file), 0);
	read = token_of(there.file);
	assert_true(read.life == last.life && read.grant > last.grant);
	assert_int_equal(pthread_create(&thread, NULL, ask_elsewhere, there.file), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sm_unlock(there.file), 0);
	expect_no_holder(there.file);
	assert_true(visit(&here).grant > read.grant);
	assert_int_equal(client_lock_within(&here, 10 * 1000), 0);
	assert_int_equal(*here.words, 8);
	client_close(&here);
	client_close(&there);
	/* A new life. */
	kinds_open(&here, SIZE_BLOCK);
	assert_true(visit(&here).life != last.life);
	client_close(&here);
}

static void
tokens_rise_from_grant_to_grant(void **state)
{
	(void)state;
	kinds_run(compare_tokens);
}

static struct smc_world world;

static int
create_world(void **state)
{
	smc_world_create(&world);
	*state = &world;
	return 0;
}

/* As the host: moves the turn on, as a process does that takes the holder for dead. */
static void
take_over(void)
{
	struct lockfile_head *head;
	int fd = open(smc_path(&world, NAME, ""), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	head = mmap(NULL, LOCKFILE_MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(head != MAP_FAILED);
	atomic_fetch_add(&head->words.turn, 1);
	munmap(head, LOCKFILE_MAPPED);
	close(fd);
}

static void
expect_stale(int result, const char *call)
{
	if (result == 0 || errno != ESTALE)
		fail_msg("%s: expected ESTALE, got %s", call,
		    result == 0 ? "success" : sm_error(NULL));
}

/* Otherwise the former holder could draw the larger token of the two. */
static void
a_holder_that_was_taken_over_gets_no_token(void **state)
{
	struct client former, holder;
	struct token t;

	(void)state;
	assert_int_equal(smc_join(&former, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(smc_join(&holder, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(client_lock_within(&former, 10 * 1000), 0);
	take_over();
	assert_int_equal(client_lock_within(&holder, 10 * 1000), 0);
	t = token_of(holder.file);
	expect_stale(sm_grant(former.file, &t.life, &t.grant), "sm_grant()");
	expect_stale(sm_grant(former.file, &t.life, &t.grant), "sm_grant() again");
	expect_stale(sm_unlock(former.file), "sm_unlock()");
	assert_int_equal(sm_unlock(holder.file), 0);
	/* Both go on. */
	assert_true(visit(&former).grant > t.grant);
	assert_true(visit(&holder).grant > t.grant);
	client_close(&former);
	client_close(&holder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_rise_from_grant_to_grant),
		cmocka_unit_test_setup_teardown(a_holder_that_was_taken_over_gets_no_token,
		    create_world, smc_world_teardown),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
