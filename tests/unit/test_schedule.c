/* The order in which tasks get their turns (common/server/core/schedule). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/container.h"
#include "common/server/core/schedule.h"

enum { MANY = 1000 };

/* A task that counts its turns and goes on for as many turns as it wants. */
struct job {
	struct task task;
	struct schedule *schedule;
	struct schedule_queue *queue;
	struct job *victim; /* NULL, or a job that is removed when this one runs */
	int wanted;
	int turns;
};

static struct job *last_run;
static const struct budget *last_budget;

static void
run(struct task *t, const struct budget *b)
{
	struct job *j = container_of(t, struct job, task);

	j->turns++;
	last_run = j;
	last_budget = b;
	if (j->victim != NULL)
		schedule_remove(j->schedule, &j->victim->task);
	if (--j->wanted > 0)
		schedule_add(j->schedule, j->queue, &j->task);
}

/* Adds a job that wants so many turns. */
static void
begin(struct job *j, struct schedule *s, struct schedule_queue *q, int wanted)
{
	*j = (struct job){ .task.run = run, .schedule = s, .queue = q, .wanted = wanted };
	schedule_add(s, q, &j->task);
}

/* Gives so many turns; there must be work for all of them. */
static void
give_turns(struct schedule *s, int count)
{
	const struct budget b = BUDGET_UNLIMITED;

	while (count-- > 0)
		assert_true(schedule_run(s, &b));
}

static void
expect_idle(struct schedule *s)
{
	const struct budget b = BUDGET_UNLIMITED;

	assert_true(schedule_is_idle(s));
	assert_false(schedule_run(s, &b));
}

static int
turns_of(const struct job *jobs, int count)
{
	int i, turns = 0;

	for (i = 0; i < count; i++)
		turns += jobs[i].turns;
	return turns;
}

static void
nothing_to_do_is_idle(void **state)
{
	struct schedule s;

	(void)state;
	schedule_init(&s);
	expect_idle(&s);
}

static void
a_task_runs_once_with_its_budget(void **state)
{
	const struct budget b = BUDGET_UNLIMITED;
	struct schedule_queue q;
	struct schedule s;
	struct job j;

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&q, SCHEDULE_SESSIONS);
	begin(&j, &s, &q, 1);
	assert_false(schedule_is_idle(&s));
	assert_true(schedule_run(&s, &b));
	assert_ptr_equal(last_run, &j);
	assert_ptr_equal(last_budget, &b);
	assert_false(j.task.is_queued);
	expect_idle(&s);
}

static void
a_task_that_is_added_twice_runs_once(void **state)
{
	struct schedule_queue q;
	struct schedule s;
	struct job j;

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&q, SCHEDULE_SESSIONS);
	begin(&j, &s, &q, 1);
	schedule_add(&s, &q, &j.task);
	give_turns(&s, 1);
	expect_idle(&s);
	assert_int_equal(j.turns, 1);
}

static void
tasks_of_one_owner_run_in_their_order(void **state)
{
	struct schedule_queue q;
	struct schedule s;
	struct job j[3];
	int i;

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&q, SCHEDULE_SESSIONS);
	for (i = 0; i < 3; i++)
		begin(&j[i], &s, &q, 2);
	for (i = 0; i < 6; i++) {
		give_turns(&s, 1);
		/* A task that goes on does so behind the others. */
		assert_ptr_equal(last_run, &j[i % 3]);
	}
	expect_idle(&s);
}

static void
an_owner_with_a_thousand_tasks_gets_as_many_turns_as_an_owner_with_one(void **state)
{
	struct schedule_queue queues[3];
	static struct job many[MANY];
	struct job one, late;
	struct schedule s;
	int i;

	(void)state;
	schedule_init(&s);
	for (i = 0; i < 3; i++)
		schedule_queue_init(&queues[i], SCHEDULE_SESSIONS);
	for (i = 0; i < MANY; i++)
		begin(&many[i], &s, &queues[0], MANY);
	begin(&one, &s, &queues[1], MANY);
	give_turns(&s, 200);
	assert_int_equal(turns_of(many, MANY), 100);
	assert_int_equal(one.turns, 100);
	/* An owner that comes later waits for one turn of each of the others at most. */
	begin(&late, &s, &queues[2], MANY);
	give_turns(&s, 3);
	assert_int_equal(late.turns, 1);
	give_turns(&s, 300 - 3);
	assert_int_equal(late.turns, 100);
	assert_int_equal(one.turns, 200);
	assert_int_equal(turns_of(many, MANY), 200);
}

static void
classes_alternate_however_many_owners_each_has(void **state)
{
	struct schedule_queue sessions, newcomers[10];
	struct job session, newcomer[10];
	struct schedule s;
	int i;

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&sessions, SCHEDULE_SESSIONS);
	for (i = 0; i < 10; i++) {
		schedule_queue_init(&newcomers[i], SCHEDULE_NEWCOMERS);
		begin(&newcomer[i], &s, &newcomers[i], MANY);
	}
	begin(&session, &s, &sessions, MANY);
	for (i = 0; i < 50; i++) {
		give_turns(&s, 2);
		assert_int_equal(session.turns, i + 1);
		assert_int_equal(turns_of(newcomer, 10), i + 1);
	}
}

static void
a_class_alone_gets_every_turn(void **state)
{
	struct schedule_queue sessions, newcomers;
	struct job session, newcomer;
	struct schedule s;

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&sessions, SCHEDULE_SESSIONS);
	schedule_queue_init(&newcomers, SCHEDULE_NEWCOMERS);
	begin(&newcomer, &s, &newcomers, 20);
	give_turns(&s, 10);
	assert_int_equal(newcomer.turns, 10);
	/* Nothing is owed for that: the other class has the next turn, then every other one. */
	begin(&session, &s, &sessions, 5);
	give_turns(&s, 1);
	assert_int_equal(session.turns, 1);
	give_turns(&s, 8);
	assert_int_equal(session.turns, 5);
	assert_int_equal(newcomer.turns, 14);
	give_turns(&s, 6);
	expect_idle(&s);
}

static void
a_task_that_is_removed_does_not_run(void **state)
{
	struct schedule_queue q[2];
	struct schedule s;
	struct job j[3];

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&q[0], SCHEDULE_SESSIONS);
	schedule_queue_init(&q[1], SCHEDULE_SESSIONS);
	begin(&j[0], &s, &q[0], 1);
	begin(&j[1], &s, &q[0], 1);
	begin(&j[2], &s, &q[1], 1);
	schedule_remove(&s, &j[0].task);
	schedule_remove(&s, &j[0].task);
	/* With its last task an owner leaves the round. */
	schedule_remove(&s, &j[2].task);
	give_turns(&s, 1);
	assert_ptr_equal(last_run, &j[1]);
	expect_idle(&s);
	/* It may come again. */
	begin(&j[2], &s, &q[1], 1);
	give_turns(&s, 1);
	assert_ptr_equal(last_run, &j[2]);
	expect_idle(&s);
}

static void
a_task_that_never_was_queued_may_be_removed(void **state)
{
	struct task t = { 0 };
	struct schedule s;

	(void)state;
	schedule_init(&s);
	schedule_remove(&s, &t);
	expect_idle(&s);
}

static void
a_task_may_remove_others_while_it_runs(void **state)
{
	struct schedule_queue q[2];
	struct schedule s;
	struct job j[3];

	(void)state;
	schedule_init(&s);
	schedule_queue_init(&q[0], SCHEDULE_SESSIONS);
	schedule_queue_init(&q[1], SCHEDULE_SESSIONS);
	begin(&j[0], &s, &q[0], 1);
	begin(&j[1], &s, &q[0], 1);
	begin(&j[2], &s, &q[1], 1);
	/* The last one of its own queue, then the last one of another. */
	j[0].victim = &j[1];
	give_turns(&s, 1);
	j[2].victim = &j[0];
	give_turns(&s, 1);
	assert_ptr_equal(last_run, &j[2]);
	assert_int_equal(j[1].turns, 0);
	expect_idle(&s);
}

/* Ends with its owner: frees the queue that it was in, and itself. */
static void
run_last(struct task *t, const struct budget *b)
{
	(void)b;
	free(t->queue);
	free(t);
}

static void
a_task_may_end_with_its_owner(void **state)
{
	struct schedule_queue *q = malloc(sizeof *q), other;
	struct task *t = calloc(1, sizeof *t);
	struct schedule s;
	struct job j;

	(void)state;
	assert_non_null(q);
	assert_non_null(t);
	schedule_init(&s);
	schedule_queue_init(q, SCHEDULE_SESSIONS);
	schedule_queue_init(&other, SCHEDULE_SESSIONS);
	t->run = run_last;
	schedule_add(&s, q, t);
	begin(&j, &s, &other, 2);
	give_turns(&s, 3);
	assert_int_equal(j.turns, 2);
	expect_idle(&s);
}

static void
random_work_is_shared_evenly(void **state)
{
	enum { OWNERS = 7, TASKS = 70, TURNS = 70000 };
	static struct job jobs[TASKS];
	struct schedule_queue queues[OWNERS];
	int turns[OWNERS] = { 0 };
	struct schedule s;
	int i;

	(void)state;
	srandom(1);
	schedule_init(&s);
	for (i = 0; i < OWNERS; i++)
		schedule_queue_init(&queues[i], SCHEDULE_SESSIONS);
	/* Each owner has a task that always has work; the others come and go. */
	for (i = 0; i < TASKS; i++)
		begin(&jobs[i], &s, &queues[i % OWNERS], i < OWNERS ? TURNS : 1);
	for (i = 0; i < TURNS; i++) {
		struct job *j = &jobs[OWNERS + random() % (TASKS - OWNERS)];

		if (random() % 2 == 0) {
			schedule_remove(&s, &j->task);
		} else {
			j->wanted = 1 + (int)(random() % 3);
			schedule_add(&s, j->queue, &j->task);
		}
		give_turns(&s, 1);
		turns[last_run->queue - queues]++;
	}
	for (i = 0; i < OWNERS; i++)
		assert_int_equal(turns[i], TURNS / OWNERS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_do_is_idle),
		cmocka_unit_test(a_task_runs_once_with_its_budget),
		cmocka_unit_test(a_task_that_is_added_twice_runs_once),
		cmocka_unit_test(tasks_of_one_owner_run_in_their_order),
		cmocka_unit_test(
		    an_owner_with_a_thousand_tasks_gets_as_many_turns_as_an_owner_with_one),
		cmocka_unit_test(classes_alternate_however_many_owners_each_has),
		cmocka_unit_test(a_class_alone_gets_every_turn),
		cmocka_unit_test(a_task_that_is_removed_does_not_run),
		cmocka_unit_test(a_task_that_never_was_queued_may_be_removed),
		cmocka_unit_test(a_task_may_remove_others_while_it_runs),
		cmocka_unit_test(a_task_may_end_with_its_owner),
		cmocka_unit_test(random_work_is_shared_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
