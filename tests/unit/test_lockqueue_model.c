/*
 * The lock's queue against a model of it, which finds the holders and the order the slow way: any
 * order of claims, tries, ends, upgrades, upgrades taken back and writers that share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "common/base/clock.h"
#include "common/server/core/lockqueue.h"

enum { CLAIMS = 8, ROUNDS = 300000 };

static struct timer_queue timers;
static uint64_t now = CLOCK_SEC;
static struct claim c[CLAIMS];
static struct lockqueue q;
static int upgrades_granted; /* of those that waited */

/* The model: who holds, who waits in which order, and the upgrade. */
static struct {
	enum protocol_mode holds[CLAIMS]; /* PROTOCOL_FREE: not */
	enum protocol_mode wants[CLAIMS]; /* of those in line */
	int line[CLAIMS], line_count;
	int upgrade; /* -1: none */
	uint64_t grant[CLAIMS], grants;
	uint64_t shared_grant[CLAIMS]; /* of an upgrade that may be taken back; else 0 */
} model;

static void
note_granted(struct claim *claim)
{
	upgrades_granted += model.upgrade == claim - c;
}

static int
count_others(int i)
{
	int j, n = 0;

	for (j = 0; j < CLAIMS; j++)
		n += j != i && model.holds[j] != PROTOCOL_FREE;
	return n;
}

static bool
has_writer(void)
{
	int j;

	for (j = 0; j < CLAIMS; j++)
		if (model.holds[j] == PROTOCOL_EXCLUSIVE)
			return true;
	return false;
}

static bool
can_enter(enum protocol_mode mode)
{
	if (mode == PROTOCOL_EXCLUSIVE)
		return count_others(-1) == 0;
	return !has_writer() && model.upgrade < 0;
}

static void
model_grant(int i, enum protocol_mode mode)
{
	model.shared_grant[i] = model.holds[i] == PROTOCOL_SHARED ? model.grant[i] : 0;
	model.holds[i] = mode;
	model.grant[i] = ++model.grants;
}

static void
remove_from_line(int i)
{
	int j, kept = 0;

	for (j = 0; j < model.line_count; j++)
		if (model.line[j] != i)
			model.line[kept++] = model.line[j];
	model.line_count = kept;
}

/* Gives the lock to everybody whose turn it is. */
static void
model_settle(void)
{
	int first;

	if (model.upgrade >= 0 && count_others(model.upgrade) == 0) {
		model_grant(model.upgrade, PROTOCOL_EXCLUSIVE);
		model.upgrade = -1;
	}
	while (model.line_count > 0 && can_enter(model.wants[first = model.line[0]])) {
		remove_from_line(first);
		model_grant(first, model.wants[first]);
	}
}

static void
step_claim(int i, enum protocol_mode mode, bool wait)
{
	bool at_once = model.line_count == 0 && can_enter(mode);

	assert_int_equal(lockqueue_claim(&q, &c[i], mode, wait),
	    at_once ? CLAIM_HELD : (wait ? CLAIM_WAITING : CLAIM_IDLE));
	if (!at_once && !wait)
		return;
	model.wants[i] = mode;
	model.line[model.line_count++] = i;
	model_settle();
}

static void
step_drop(int i)
{
	lockqueue_drop(&q, &c[i]);
	remove_from_line(i);
	model.holds[i] = PROTOCOL_FREE;
	if (model.upgrade == i)
		model.upgrade = -1;
	model_settle();
}

static void
step_upgrade(int i, bool wait)
{
	int expected = 0;

	if (count_others(i) > 0 && !wait)
		expected = -EAGAIN;
	else if (count_others(i) > 0 && model.upgrade >= 0)
		expected = -EDEADLK;
	assert_int_equal(lockqueue_upgrade(&q, &c[i], wait), expected);
	if (expected != 0)
		return;
	model.upgrade = i;
	model_settle();
}

/* An upgrade that waits, or one that was just granted. */
static void
step_take_back(int i)
{
	lockqueue_take_back(&q, &c[i]);
	if (model.upgrade == i) {
		model.upgrade = -1;
	} else {
		model.holds[i] = PROTOCOL_SHARED;
		model.grant[i] = model.shared_grant[i];
	}
	model_settle();
}

static void
step_share(int i)
{
	lockqueue_share(&q, &c[i]);
	model.holds[i] = PROTOCOL_SHARED;
	model_settle();
}

/* What a claim in that state can do, by chance. */
static void
step(int i)
{
	enum protocol_mode mode = random() % 2 ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE;
	bool wait = random() % 4 != 0;

	if (c[i].state == CLAIM_IDLE)
		step_claim(i, mode, wait);
	else if (c[i].state == CLAIM_WAITING || random() % 3 == 0)
		step_drop(i);
	else if (lockqueue_is_upgrading(&q, &c[i]))
		step_take_back(i);
	else if (c[i].mode == PROTOCOL_SHARED)
		step_upgrade(i, wait);
	else if (model.shared_grant[i] != 0 && random() % 2)
		step_take_back(i);
	else
		step_share(i);
	/* A grant that was told is not taken back any more. */
	if (random() % 2)
		model.shared_grant[i] = 0;
}

static void
expect_model(void)
{
	int i, waiting = 0;

	for (i = 0; i < CLAIMS; i++) {
		waiting += c[i].state == CLAIM_WAITING;
		assert_int_equal(c[i].state == CLAIM_HELD, model.holds[i] != PROTOCOL_FREE);
		assert_int_equal(lockqueue_is_upgrading(&q, &c[i]), model.upgrade == i);
		if (c[i].state != CLAIM_HELD)
			continue;
		assert_int_equal(c[i].mode, model.holds[i]);
		assert_int_equal(c[i].grant, model.grant[i]);
	}
	assert_int_equal(waiting, model.line_count);
	assert_int_equal(q.waiting, model.line_count + (model.upgrade >= 0));
	assert_int_equal(q.grants, model.grants);
}

static void
any_order_is_that_of_the_model(void **state)
{
	int round, waited = 0;

	(void)state;
	timer_queue_init(&timers);
	lockqueue_init(&q, &timers, &now, note_granted);
	model.upgrade = -1;
	srandom(4);
	for (round = 0; round < ROUNDS; round++) {
		step((int)(random() % CLAIMS));
		expect_model();
		waited += model.upgrade >= 0;
	}
	/* The interesting ones were among them. */
	assert_true(waited > ROUNDS / 100 && upgrades_granted > ROUNDS / 1000);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_is_that_of_the_model),
	};

	return cmocka_run_group_tests_name("lockqueue model", tests, NULL, NULL);
}
