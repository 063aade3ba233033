/*
 * A process is killed, or stopped for a while, at every step and before every system call of
 * opening, locking, committing, taking over from a dead process, giving up and closing: the last
 * published state is there, all of it or nothing, and all other processes get the lock (smc/FORMAT
 * 6, smc/FORMAT 7, smc/FORMAT 8).
 *
 * A *play* is what the victim does and what has happened before. It runs once with a victim that
 * only records its steps; then once for each step and each fate, in a process and with a memory
 * file of its own, several at a time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"
#include "tests/stress/tracer.h"

enum {
	STEPS_MOST = 128,
	CALLS_MOST = 400,
	NAME_SIZE = 64,
	STOPPED_MS = 300,
	OBTAINABLE_MS = 200,
	GIVES_UP_MS = 20,
	AT_A_TIME = 12,
	FAILURES_MOST = 5,
	LOOKS_COUNTED = 6
};

#define COMMITTED "commit: committed"

enum fate { WATCHED, KILLED, STOPPED, KILLED_AT_CALL };

/* The steps of a play's victim, and flags that the processes of a case share. */
struct page {
	struct testpoint_steps steps;
	atomic_uint calls; /* system calls of the victim; CALLS_MOST until known */
	atomic_bool has_given_up;
};

/* One run of a play. */
struct play_case {
	const struct play *play;
	enum fate fate;
	unsigned n; /* step or call, from 1 */
	char name[NAME_SIZE];
	char when[2 * NAME_SIZE];
	struct page *page;          /* the victim's of this run, but for: */
	const struct page *watched; /* the recorded steps */
	struct client mine;         /* the resident, there before the victim; closed: none */
	int64_t value;              /* of the counter, without the victim's increments */
};

struct play {
	const char *name;
	bool is_alone;        /* no other process has the file open */
	bool is_from_opening; /* the victim's opening is part of it */
	bool has_leftovers;   /* a process has died in a commit, with the lock */
	bool has_abandoned;   /* a process has abandoned the next ticket */
	bool is_giving_up;    /* the victim gives up, and tries again */
	bool is_first_map;    /* the first client has the lock open, and no segment yet */
};

static struct smc_world world;

static void __attribute__((format(printf, 3, 4)))
expect(const struct play_case *c, bool is_right, const char *format, ...)
{
	char what[3 * NAME_SIZE], text[6 * NAME_SIZE];
	va_list args;

	if (is_right)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	snprintf(text, sizeof text, "%s: %s", c->when, what);
	child_expect(false, text);
}

/* True when another process has it mapped. */
static bool
is_shared(const struct play_case *c)
{
	return !c->play->is_alone && !c->play->is_first_map;
}

/* The victim. */

static void
meet_fate(const struct play_case *c)
{
	switch (c->fate) {
	case WATCHED:
		testpoint_record(&c->page->steps);
		break;
	case KILLED:
		testpoint_plan(NULL, c->n, SIGKILL);
		break;
	case STOPPED:
		testpoint_plan(NULL, c->n, SIGSTOP);
		break;
	case KILLED_AT_CALL:
		expect(c, tracer_stop() == 0, "ptrace");
		break;
	}
}

static void
section(const struct play_case *c, struct client *p)
{
	expect(c, sm_lock(p->file) == 0, "the lock is there");
	expect(c, smc_value(p->segment) >= 0, "the segment is whole");
	smc_count(p->segment);
	expect(c, sm_unlock(p->file) == 0, "the change is published");
}

static void
give_up(const struct play_case *c, struct client *p)
{
	int error = client_lock_for(p, GIVES_UP_MS);

	/* After a stop the victim may find the lock free. */
	if (error == 0 && c->fate == STOPPED)
		expect(c, sm_unlock(p->file) == 0, "the lock is given back");
	else
		expect(c, error == ETIMEDOUT, "the lock is held, and not waited for");
	error = sm_trylock(p->file) == 0 ? 0 : errno;
	if (error == 0 && c->fate == STOPPED)
		expect(c, sm_unlock(p->file) == 0, "the lock is given back");
	else
		expect(c, error == EAGAIN, "nor is it to be had by a try");
	atomic_store(&c->page->has_given_up, true);
}

static void __attribute__((noreturn)) be_victim(struct play_case *c)
{
	struct client p;

	client_close(&c->mine);
	if (c->play->is_from_opening)
		meet_fate(c);
	expect(c, smc_join(&p, &world, c->name, SMC_SEGMENT) == 0, "it can be opened");
	if (!c->play->is_from_opening)
		meet_fate(c);
	if (c->play->is_giving_up)
		give_up(c, &p);
	section(c, &p);
	if (c->play->is_from_opening)
		client_close(&p);
	/* The next calls are not part of the play. */
	if (c->fate == KILLED_AT_CALL)
		raise(SIGSTOP);
	_exit(EXIT_SUCCESS);
}

/* The events before a play. */

static pid_t
begin_child(const struct play_case *c)
{
	pid_t pid = child_fork();

	expect(c, pid != -1, "fork");
	return pid;
}

static void
leave_leftovers(struct play_case *c)
{
	pid_t pid = begin_child(c);
	struct client p;

	if (pid == 0) {
		client_close(&c->mine);
		expect(c, smc_join(&p, &world, c->name, SMC_SEGMENT) == 0, "it can be opened");
		testpoint_plan("commit: before the store", 1, SIGKILL);
		expect(c, sm_lock(p.file) == 0, "the lock is there");
		smc_count(p.segment);
		smc_poison(p.segment);
		(void)sm_unlock(p.file);
		_exit(EXIT_FAILURE);
	}
	expect(c, child_was_killed(pid), "a process dies in its commit");
}

/* The process lives on, and never returns to its ticket. */
static void
leave_abandoned(struct play_case *c)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct client p;

	expect(c, sm_lock(c->mine.file) == 0, "the lock is there");
	if (begin_child(c) == 0) {
		client_close(&c->mine);
		expect(c, smc_join(&p, &world, c->name, SMC_SEGMENT) == 0, "it can be opened");
		give_up(c, &p);
		for (;;)
			pause();
	}
	while (!atomic_load(&c->page->has_given_up)) {
		expect(c, clock_now() < deadline, "the other process gives up in time");
		patience_breathe();
	}
	atomic_store(&c->page->has_given_up, false);
	expect(c, sm_unlock(c->mine.file) == 0, "the turn goes to the abandoned ticket");
}

static void
set_the_stage(struct play_case *c)
{
	if (c->play->is_first_map)
		expect(c, smc_join(&c->mine, &world, c->name, 0) == 0, "it can be opened");
	if (is_shared(c)) {
		expect(c, smc_join(&c->mine, &world, c->name, SMC_SEGMENT) == 0,
		    "it can be opened");
		section(c, &c->mine);
		c->value = 1;
	}
	if (c->play->has_leftovers)
		leave_leftovers(c);
	if (c->play->has_abandoned)
		leave_abandoned(c);
	if (c->play->is_giving_up)
		expect(c, sm_lock(c->mine.file) == 0, "the lock is there");
}

/* All other processes. */

/* Releases the lock for a victim that gives up first; the victim may die before it says so. */
static void
give_back(struct play_case *c, pid_t victim)
{
	siginfo_t info;

	if (!c->play->is_giving_up)
		return;
	do {
		patience_breathe();
		info.si_pid = 0;
		expect(c,
		    waitid(P_PID, (id_t)victim, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0,
		    "waitid");
	} while (info.si_pid == 0 && !atomic_load(&c->page->has_given_up));
	expect(c, sm_unlock(c->mine.file) == 0, "the lock is given back");
}

/* The client gets the lock, and the counter is least to most. */
static void
expect_fine(struct play_case *c, struct client *p, int64_t least, int64_t most, const char *who)
{
	int64_t value;
	int error;

	if (p->segment == NULL)
		p->segment = sm_map(p->file, NULL, SMC_SEGMENT);
	expect(c, p->segment != NULL, "%s can map it", who);
	error = client_lock_within(p, OBTAINABLE_MS);
	expect(c, error == 0, "%s gets the lock, and not errno %d", who, error);
	value = smc_value(p->segment);
	expect(c, value >= least && value <= most, "%s finds a counter of %ld to %ld, and not %ld",
	    who, (long)least, (long)most, (long)value);
	smc_count(p->segment);
	expect(c, sm_unlock(p->file) == 0, "%s publishes", who);
	c->value = value + 1;
}

/* The counter was least to most when the victim ended. */
static void
expect_all_fine(struct play_case *c, int64_t least, int64_t most)
{
	struct client other;

	if (!c->play->is_alone) {
		expect_fine(c, &c->mine, least, most, "the resident");
		least = most = c->value;
	}
	expect(c, smc_join(&other, &world, c->name, SMC_SEGMENT) == 0, "it can be opened anew");
	expect_fine(c, &other, least, most, "a newcomer");
	if (!c->play->is_alone)
		expect_fine(c, &c->mine, c->value, c->value, "the resident, once more");
	client_close(&other);
	client_close(&c->mine);
}

/* True when the victim's last step comes after the one that publishes. */
static bool
has_committed(const struct play_case *c)
{
	unsigned i;

	for (i = 0; i < c->n && i < atomic_load(&c->watched->steps.count); i++)
		if (strcmp(c->watched->steps.names[i], COMMITTED) == 0)
			return true;
	return false;
}

static void
after_kill(struct play_case *c, bool was_reached)
{
	int64_t least = c->value, most = c->value + 1;

	if (c->play->is_alone) {
		/* All other processes are dead, or have left: a new life begins. */
		expect_all_fine(c, 0, 0);
		return;
	}
	if (!was_reached)
		least = most;
	else if (c->fate == KILLED)
		least = most = c->value + has_committed(c);
	expect_all_fine(c, least, most);
}

/*
 * While the victim is stopped, the first client gets the lock or waits, and another process opens
 * it.
 */
static void
live_with_stopped(struct play_case *c, pid_t victim)
{
	struct client p;
	pid_t newcomer;
	int error;

	newcomer = begin_child(c);
	if (newcomer == 0) {
		client_close(&c->mine);
		expect(c, smc_join(&p, &world, c->name, SMC_SEGMENT) == 0,
		    "it can be opened meanwhile");
		section(c, &p);
		client_close(&p);
		_exit(EXIT_SUCCESS);
	}
	if (!is_shared(c)) {
		usleep(STOPPED_MS * 1000);
	} else {
		error = client_lock_for(&c->mine, STOPPED_MS);
		expect(c, error == 0 || error == ETIMEDOUT, "the lock is had, or waited for");
		if (error == 0) {
			expect(c, smc_value(c->mine.segment) >= 0, "the segment is whole");
			smc_count(c->mine.segment);
			c->value++;
			usleep(STOPPED_MS * 1000);
			expect(c, sm_unlock(c->mine.file) == 0, "the resident publishes");
		}
	}
	expect(c, kill(victim, SIGCONT) == 0, "kill");
	if (is_shared(c)) {
		expect(c, client_lock_within(&c->mine, OBTAINABLE_MS) == 0,
		    "the resident gets the lock when the victim goes on");
		smc_count(c->mine.segment);
		c->value++;
		expect(c, sm_unlock(c->mine.file) == 0, "the resident publishes");
	}
	expect(c, child_has_ended_well(newcomer), "the newcomer ends well");
	c->value++;
}

/* True for the calls that go through all slots of the presence table. */
static bool
is_look(uint64_t call)
{
	return call == SYS_fcntl || call == SYS_statx || call == SYS_fstat ||
	    call == SYS_newfstatat;
}

/* Whether a system call counts: in a run of calls through all slots, only the first ones do. */
static bool
counts(uint64_t call)
{
	static unsigned looks;

	looks = is_look(call) ? looks + 1 : 0;
	return looks <= LOOKS_COUNTED;
}

static void
run_traced(struct play_case *c, pid_t victim)
{
	uint64_t call;
	int result = tracer_kill_at_call(victim, c->n, counts, &call);
	bool was_reached = result == 1;

	expect(c, result >= 0, "ptrace");
	expect(c, was_reached ? child_was_killed(victim) : child_has_ended_well(victim),
	    "the victim's end");
	if (!was_reached)
		atomic_store(&c->page->calls, c->n - 1);
	after_kill(c, was_reached);
}

static void
run_case(struct play_case *c)
{
	pid_t victim;
	int status;

	set_the_stage(c);
	victim = begin_child(c);
	if (victim == 0)
		be_victim(c);
	if (c->fate == KILLED_AT_CALL) {
		run_traced(c, victim);
		return;
	}
	give_back(c, victim);
	expect(c, waitpid(victim, &status, WUNTRACED) == victim, "waitpid");
	if (WIFSTOPPED(status)) {
		live_with_stopped(c, victim);
		expect(c, child_has_ended_well(victim), "the victim goes on and ends well");
		if (c->play->is_alone)
			expect_all_fine(c, 0, 0);
		else
			expect_all_fine(c, c->value + 1, c->value + 1);
	} else if (WIFSIGNALED(status)) {
		expect(c, WTERMSIG(status) == SIGKILL, "the victim dies as planned");
		after_kill(c, true);
	} else {
		/* The victim had fewer steps because other processes were faster. */
		expect(c, status == 0, "the victim ends well");
		after_kill(c, false);
	}
}

/* Runs a case in a process of its own. */
static pid_t
begin_case(const struct play *play, enum fate fate, unsigned n, struct page *watched)
{
	static const char *const fates[] = { "watched", "killed", "stopped", "killed-at-call" };
	struct play_case c = { .play = play, .fate = fate, .n = n, .watched = watched };
	pid_t pid = child_fork();

	if (pid != 0)
		return pid;
	/* A play has one case of these kinds at a time, which shares its page with the play. */
	if (fate == WATCHED || fate == KILLED_AT_CALL)
		c.page = watched;
	else
		c.page = mmap(NULL, sizeof *c.page, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(c.name, sizeof c.name, "%s-%s-%u", play->name, fates[fate], n);
	snprintf(c.when, sizeof c.when, "%s (%s)", c.name,
	    fate == KILLED || fate == STOPPED ? watched->steps.names[n - 1] : "");
	child_expect(c.page != MAP_FAILED, "mmap");
	atomic_store(&c.page->has_given_up, false);
	run_case(&c);
	_exit(EXIT_SUCCESS);
}

/* Waits for count cases. Returns how many failed. */
static unsigned
reap(unsigned count)
{
	unsigned failed = 0;
	int status;

	while (count-- > 0) {
		assert_int_not_equal(wait(&status), -1);
		failed += status != 0;
	}
	return failed;
}

/* Runs all cases of a fate, several at a time. Returns how many failed. */
static unsigned
run_all(const struct play *play, enum fate fate, unsigned count, struct page *watched)
{
	unsigned n, running = 0, failed = 0;

	for (n = 1; n <= count && failed < FAILURES_MOST; n++) {
		assert_int_not_equal(begin_case(play, fate, n, watched), -1);
		running++;
		if (running == AT_A_TIME || n == count) {
			failed += reap(running);
			running = 0;
		}
	}
	return failed;
}

/* Runs the cases one after the other, until there are no more calls. Returns how many failed. */
static unsigned
run_calls(const struct play *play, struct page *watched)
{
	unsigned n, failed = 0;

	atomic_store(&watched->calls, CALLS_MOST);
	for (n = 1; n <= atomic_load(&watched->calls) && failed < FAILURES_MOST; n++) {
		assert_int_not_equal(begin_case(play, KILLED_AT_CALL, n, watched), -1);
		failed += reap(1);
	}
	assert_true(n < CALLS_MOST);
	return failed;
}

static bool
has_step(const struct page *page, const char *step)
{
	unsigned i;

	for (i = 0; i < atomic_load(&page->steps.count) && i < TESTPOINT_STEPS_MOST; i++)
		if (strcmp(page->steps.names[i], step) == 0)
			return true;
	return false;
}

/* essential: the step that the play is about. */
static void
perform(const struct play *play, const char *essential)
{
	struct page *page = child_share(sizeof *page);
	unsigned steps, failed;

	assert_int_not_equal(begin_case(play, WATCHED, 0, page), -1);
	assert_int_equal(reap(1), 0);
	steps = atomic_load(&page->steps.count);
	assert_in_range(steps, 1, STEPS_MOST);
	if (!has_step(page, essential))
		fail_msg("%s has no step \"%s\"", play->name, essential);
	failed = run_all(play, KILLED, steps, page);
	failed += run_all(play, STOPPED, steps, page);
	/* A process that waits makes a varying number of calls. */
	if (!play->is_giving_up && tracer_is_allowed())
		failed += run_calls(play, page);
	print_message("# %s: %u steps, %u system calls\n", play->name, steps,
	    atomic_load(&page->calls));
	if (failed != 0)
		fail_msg("%u of the cases of %s went wrong", failed, play->name);
}

static void
at_every_step_of_a_section(void **state)
{
	static const struct play play = { .name = "section" };

	(void)state;
	perform(&play, COMMITTED);
}

static void
at_every_step_of_a_take_over(void **state)
{
	static const struct play play = { .name = "takeover", .has_leftovers = true };

	(void)state;
	perform(&play, "ticketlock: checked again");
}

static void
at_every_step_of_skipping_an_abandoned_ticket(void **state)
{
	static const struct play play = { .name = "skip", .has_abandoned = true };

	(void)state;
	perform(&play, "ticketlock: dropped an abandoned ticket");
}

static void
at_every_step_of_giving_up(void **state)
{
	static const struct play play = { .name = "giveup", .is_giving_up = true };

	(void)state;
	perform(&play, "ticketlock: abandoned");
}

static void
at_every_step_of_opening_and_closing_among_others(void **state)
{
	static const struct play play = { .name = "visit", .is_from_opening = true };

	(void)state;
	perform(&play, "lockfile: presence released");
}

static void
at_every_step_of_making_the_segment(void **state)
{
	static const struct play play = { .name = "map",
		.is_from_opening = true,
		.is_first_map = true };

	(void)state;
	perform(&play, COMMITTED);
}

static void
at_every_step_of_opening_first_and_closing_last(void **state)
{
	static const struct play play = { .name = "alone",
		.is_alone = true,
		.is_from_opening = true };

	(void)state;
	perform(&play, "lockfile: marked as dead");
}

static void
at_every_step_of_starting_afresh_after_the_dead(void **state)
{
	static const struct play play = { .name = "afresh",
		.is_alone = true,
		.is_from_opening = true,
		.has_leftovers = true };

	(void)state;
	perform(&play, "lockfile: magic taken away");
}

static int
begin_all(void **state)
{
	*state = &world;
	smc_world_create(&world);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_every_step_of_a_section),
		cmocka_unit_test(at_every_step_of_a_take_over),
		cmocka_unit_test(at_every_step_of_skipping_an_abandoned_ticket),
		cmocka_unit_test(at_every_step_of_giving_up),
		cmocka_unit_test(at_every_step_of_opening_and_closing_among_others),
		cmocka_unit_test(at_every_step_of_making_the_segment),
		cmocka_unit_test(at_every_step_of_opening_first_and_closing_last),
		cmocka_unit_test(at_every_step_of_starting_afresh_after_the_dead),
	};

	return cmocka_run_group_tests_name("smc steps", tests, begin_all, smc_world_teardown);
}
