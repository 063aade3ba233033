/*
 * sm_grant(): the fencing tokens of all processes rise, over all three kinds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "common/base/size.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_rise_from_grant_to_grant),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
