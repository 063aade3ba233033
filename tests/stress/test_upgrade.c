/*
 * From reading to writing and back without letting go of the lock, over all three kinds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"

enum { PERIOD_US = 3000, SHORT_MS = 60, CHILDREN = 4, COUNTS = 150 };

static int
acquire_within(struct sm_file *file, int how, uint64_t ms)
{
	struct timespec ts = clock_timespec(clock_after_ms(clock_now(), ms));

	return sm_acquire(file, how, &ts);
}

/* For a lock that should be granted. */
static int
acquire(struct sm_file *file, int how)
{
	return acquire_within(file, how, patience_ms(PATIENCE_MS));
}

static uint64_t
token(struct sm_file *file)
{
	uint64_t life, grant;

	OK(sm_grant(file, &life, &grant));
	return grant;
}

/* A call of another thread. */
struct errand {
	int (*call)(struct errand *e);
	struct sm_file *file;
	int how;
	int error; /* 0: success */
	pthread_t thread;
};

static int
call_acquire(struct errand *e)
{
	return acquire(e->file, e->how);
}

static int
call_unlock(struct errand *e)
{
	return sm_unlock(e->file);
}

static void *
run(void *arg)
{
	struct errand *e = arg;

	e->error = e->call(e) == 0 ? 0 : errno;
	return NULL;
}

static void
begin(struct errand *e, int (*call)(struct errand *), struct sm_file *file, int how)
{
	*e = (struct errand){ .call = call, .file = file, .how = how };
	assert_int_equal(pthread_create(&e->thread, NULL, run, e), 0);
}

static void
end(struct errand *e, int error)
{
	pthread_join(e->thread, NULL);
	if (e->error != error)
		fail_msg("the other thread: expected %s, got %s", strerror(error),
		    strerror(e->error));
}

static void
await_waiter(const struct client *c)
{
	struct client copy = *c;

	if (!client_await_waiter(&copy))
		fail_msg("nobody waits: %s", sm_error(NULL));
}

/* Another handle of the file of c, which owns its locks. */
static struct client
handle_of(const struct client *c)
{
	struct client other = *c;

	other.file = sm_open_flags(c->sm, kinds_path(), SM_OPEN_OWNER);
	if (other.file == NULL)
		fail_msg("%s", sm_error(NULL));
	return other;
}

static void
change_back_and_forth(void)
{
	struct client here, there;
	uint64_t last;
	int i;

	kinds_open(&here, 3 * SIZE_BLOCK);
	kinds_open(&there, 3 * SIZE_BLOCK);
	FAILS(sm_downgrade(here.file), ENOLCK);
	OK(sm_lock(here.file));
	OK(sm_unlock(here.file));
	OK(sm_rdlock(here.file));
	FAILS(sm_downgrade(here.file), ENOLCK);
	last = token(here.file);
	for (i = 1; i <= 5; i++) {
		OK(sm_lock(here.file));
		assert_true(token(here.file) > last);
		last = token(here.file);
		FAILS(sm_lock(here.file), EDEADLK);
		FAILS(sm_rdlock(here.file), EDEADLK);
		here.words[0] = here.words[SIZE_BLOCK / sizeof *here.words] = (uint64_t)i;
		OK(sm_downgrade(here.file));
		assert_true(token(here.file) == last);
		FAILS(sm_rdlock(here.file), EDEADLK);
		FAILS(sm_trylock(there.file), EAGAIN);
		if (kinds_is_smc())
			continue;
		/* It is published. */
		OK(sm_rdlock(there.file));
		assert_int_equal(there.words[0], i);
		assert_int_equal(there.words[SIZE_BLOCK / sizeof *there.words], i);
		OK(sm_unlock(there.file));
	}
	OK(sm_unlock(here.file));
	FAILS(sm_unlock(here.file), ENOLCK);
	OK(acquire(there.file, SM_WRITE));
	assert_int_equal(there.words[0], 5);
	there.words[0] = 6;
	OK(sm_downgrade(there.file));
	OK(sm_lock(there.file));
	OK(sm_unlock(there.file));
	OK(acquire(here.file, SM_READ));
	assert_int_equal(here.words[0], 6);
	OK(sm_unlock(here.file));
	client_close(&here);
	client_close(&there);
}

static void
a_reader_writes_and_reads_again(void **state)
{
	(void)state;
	kinds_run(change_back_and_forth);
}

static uint64_t
version(const struct client *c)
{
	struct sm_stat s;

	OK(sm_stat(c->file, &s));
	return s.version;
}

/* What a program writes under a shared lock, which it must not, stays its own. */
static void
write_as_a_reader(void)
{
	struct client here, there;
	uint64_t before;

	kinds_open(&here, 3 * SIZE_BLOCK);
	kinds_open(&there, 3 * SIZE_BLOCK);
	OK(sm_lock(here.file));
	here.words[0] = 1;
	OK(sm_unlock(here.file));
	before = version(&here);
	OK(sm_rdlock(here.file));
	here.words[1] = 666;
	OK(sm_unlock(here.file));
	assert_int_equal(version(&here), before);
	OK(sm_lock(there.file));
	assert_int_equal(there.words[0], 1);
	assert_int_equal(there.words[1], 0);
	there.words[0] = 2;
	OK(sm_downgrade(there.file));
	before = version(&there);
	there.words[1] = 666;
	OK(sm_unlock(there.file));
	assert_int_equal(version(&there), before);
	client_close(&there);
	client_close(&here);
}

static void
a_reader_publishes_nothing(void **state)
{
	(void)state;
	kinds_run(write_as_a_reader);
}

static volatile sig_atomic_t handled;

static void
handle(int number)
{
	(void)number;
	handled++;
}

/* A signal that ends waits comes again and again, or no longer. */
static void
ring(suseconds_t period)
{
	const struct itimerval often = { .it_interval = { .tv_usec = period },
		.it_value = { .tv_usec = period } };
	struct sigaction action = { .sa_handler = period != 0 ? handle : SIG_IGN };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* Both read; one gives up writing in each way, reads on, and writes when the other has left. */
static void
give_up(const struct client *self, const struct client *other)
{
	struct errand e;
	int i;

	OK(acquire(self->file, SM_READ));
	OK(acquire(other->file, SM_READ));
	for (i = 0; i < 3; i++) {
		FAILS(sm_acquire(self->file, SM_WRITE | SM_TRY, NULL), EAGAIN);
		FAILS(acquire_within(self->file, SM_WRITE, SHORT_MS), ETIMEDOUT);
		ring(PERIOD_US);
		FAILS(sm_acquire(self->file, SM_WRITE | SM_INTERRUPTIBLE, NULL), EINTR);
		ring(0);
		FAILS(sm_rdlock(self->file), EDEADLK);
		(void)token(self->file);
	}
	begin(&e, call_unlock, other->file, 0);
	end(&e, 0);
	OK(acquire(self->file, SM_WRITE));
	++*self->words;
	OK(sm_downgrade(self->file));
	OK(acquire(other->file, SM_READ));
	assert_true(*other->words == *self->words);
	OK(sm_unlock(self->file));
	OK(acquire(other->file, SM_WRITE));
	OK(sm_unlock(other->file));
}

static void
give_up_and_read_on(void)
{
	struct client here, there, other;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	other = handle_of(&here);
	here = handle_of(&here);
	give_up(&here, &other);
	if (!kinds_is_smc()) {
		there = handle_of(&there);
		give_up(&here, &there);
	}
	OK(acquire(there.file, SM_WRITE));
	OK(sm_unlock(there.file));
	client_close(&here);
	client_close(&there);
}

static void
a_reader_that_gives_up_writing_reads_on(void **state)
{
	(void)state;
	kinds_run(give_up_and_read_on);
}

/* A reader waits to write: until then further readers come. */
static void
await_upgrade(const struct client *reader)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (sm_acquire(reader->file, SM_READ | SM_TRY, NULL) == 0) {
		OK(sm_unlock(reader->file));
		if (clock_now() > deadline)
			fail_msg("no reader waits to write");
		patience_breathe();
	}
	assert_int_equal(errno, EAGAIN);
}

/* Both read and want to write. While the first waits nobody else reads. */
static void
deadlock(const struct client *first, const struct client *second, const struct client *third)
{
	struct errand e;
	uint64_t before;

	OK(acquire(first->file, SM_READ));
	OK(acquire(second->file, SM_READ));
	before = *second->words;
	begin(&e, call_acquire, first->file, SM_WRITE);
	await_upgrade(third);
	FAILS(sm_acquire(second->file, SM_WRITE, NULL), EDEADLK);
	FAILS(sm_acquire(second->file, SM_WRITE | SM_TRY, NULL), EAGAIN);
	/* It reads on. */
	FAILS(sm_rdlock(second->file), EDEADLK);
	assert_true(*second->words == before);
	OK(sm_unlock(second->file));
	end(&e, 0);
	++*first->words;
	OK(sm_unlock(first->file));
	OK(acquire(second->file, SM_READ));
	assert_true(*second->words == before + 1);
	OK(sm_unlock(second->file));
}

static void
deadlock_everywhere(void)
{
	struct client here, there, a, b, c;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	a = handle_of(&here);
	b = handle_of(&here);
	c = handle_of(&here);
	deadlock(&a, &b, &c);
	if (!kinds_is_smc()) {
		b = handle_of(&there);
		c = handle_of(&there);
		/* In one process the third joins the second, unless it has left once. */
		deadlock(&a, &b, &(struct client){ .sm = c.sm, .file = c.file });
	}
	client_close(&here);
	client_close(&there);
}

static void
of_two_readers_that_would_write_one_gets_edeadlk(void **state)
{
	(void)state;
	kinds_run(deadlock_everywhere);
}

/* A writer and readers wait for one that writes, which goes on to read. */
static void
downgrade_while_they_wait(void)
{
	struct client here, there, third;
	struct errand reader, writer;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	kinds_open(&third, SIZE_BLOCK);
	here = handle_of(&here);
	there = handle_of(&there);
	OK(sm_lock(here.file));
	*here.words = 7;
	begin(&reader, call_acquire, there.file, SM_READ);
	await_waiter(&here);
	OK(sm_downgrade(here.file));
	if (!kinds_is_smc()) {
		end(&reader, 0);
		assert_int_equal(*there.words, 7);
		OK(sm_unlock(there.file));
	}
	/* A writer that waits keeps waiting. */
	begin(&writer, call_acquire, third.file, SM_WRITE);
	usleep(SHORT_MS * 1000);
	assert_int_equal(*here.words, 7);
	OK(sm_lock(here.file));
	*here.words = 8;
	OK(sm_downgrade(here.file));
	OK(sm_unlock(here.file));
	if (kinds_is_smc()) {
		end(&reader, 0);
		OK(sm_unlock(there.file));
	}
	end(&writer, 0);
	assert_int_equal(*third.words, 8);
	client_close(&third);
	client_close(&there);
	client_close(&here);
}

static void
readers_that_wait_come_and_writers_do_not(void **state)
{
	(void)state;
	kinds_run(downgrade_while_they_wait);
}

/* The threads of one process. */
static void
share_in_a_process(void)
{
	struct client here, other, third;
	struct errand e;

	kinds_open(&here, SIZE_BLOCK);
	other = handle_of(&here);
	third = handle_of(&here);
	OK(sm_lock(here.file));
	begin(&e, call_acquire, other.file, SM_READ);
	usleep(SHORT_MS * 1000 / 2);
	OK(sm_downgrade(here.file));
	end(&e, 0);
	FAILS(sm_acquire(here.file, SM_WRITE | SM_TRY, NULL), EAGAIN);
	/* Closing the handle ends the upgrade, and what was read through it. */
	begin(&e, call_acquire, other.file, SM_WRITE);
	await_upgrade(&third);
	FAILS(sm_lock(here.file), EDEADLK);
	OK(sm_close(other.file));
	end(&e, EBADF);
	OK(sm_lock(here.file));
	OK(sm_unlock(here.file));
	client_close(&here);
}

static void
threads_of_a_process_share_and_upgrade(void **state)
{
	(void)state;
	kinds_run(share_in_a_process);
}

/* A thread upgrades the grant; another one has the same handle. */
static void
unlock_beside_an_upgrade(void)
{
	struct client here, there;
	struct errand e;

	/* Others do not read beside one that reads. */
	if (kinds_is_smc())
		return;
	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	here = handle_of(&here);
	there = handle_of(&there);
	OK(acquire(here.file, SM_READ));
	OK(acquire(there.file, SM_READ));
	begin(&e, call_acquire, here.file, SM_WRITE);
	await_waiter(&here);
	FAILS(sm_unlock(here.file), ENOLCK);
	OK(sm_unlock(there.file));
	end(&e, 0);
	++*here.words;
	OK(sm_unlock(here.file));
	OK(acquire(there.file, SM_READ));
	assert_int_equal(*there.words, 1);
	OK(sm_unlock(there.file));
	client_close(&here);
	client_close(&there);
}

static void
no_thread_unlocks_beside_an_upgrade(void **state)
{
	(void)state;
	kinds_run(unlock_beside_an_upgrade);
}

/* In a child: reads, writes what it has read plus one, and reads it again. */
static void
count(struct client *c, unsigned times)
{
	uint64_t seen;

	while (times > 0) {
		child_expect(sm_rdlock(c->file) == 0, sm_error(NULL));
		seen = *c->words;
		if (sm_lock(c->file) != 0) {
			child_expect(errno == EDEADLK, sm_error(NULL));
			child_expect(*c->words == seen, "what is read stays");
			child_expect(sm_unlock(c->file) == 0, sm_error(NULL));
			continue;
		}
		child_expect(*c->words == seen, "nobody writes before an upgrade");
		*c->words = seen + 1;
		child_expect(sm_downgrade(c->file) == 0, sm_error(NULL));
		child_expect(*c->words == seen + 1, "nobody writes after a downgrade");
		child_expect(sm_unlock(c->file) == 0, sm_error(NULL));
		times--;
	}
}

static void
count_together(void)
{
	pid_t pids[CHILDREN], pid;
	struct client here;
	int i;

	kinds_open(&here, SIZE_BLOCK);
	for (i = 0; i < CHILDREN; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0) {
			count(&here, COUNTS);
			_exit(EXIT_SUCCESS);
		}
	}
	/* One dies while it writes, having read. */
	pid = child_begin();
	if (pid == 0) {
		count(&here, 1);
		while (sm_rdlock(here.file) != 0 || sm_lock(here.file) != 0)
			(void)sm_unlock(here.file);
		*here.words = 1000000;
		kill(getpid(), SIGKILL);
	}
	child_was_killed(pid);
	for (i = 0; i < CHILDREN; i++)
		child_expect_success(pids[i]);
	OK(acquire(here.file, SM_READ));
	assert_int_equal(*here.words, CHILDREN * COUNTS + 1);
	client_close(&here);
}

static void
what_is_read_is_what_is_written(void **state)
{
	(void)state;
	kinds_run(count_together);
}

/* In a child of a process that reads, and waits to write: it has no lock, and gets it last. */
static void
be_child_of_upgrader(struct client *c, atomic_bool *has_tried)
{
	child_expect(sm_unlock(c->file) == -1 && errno == ENOLCK, "sm_unlock: expected ENOLCK");
	child_expect(acquire_within(c->file, SM_READ, SHORT_MS) == -1 && errno == ETIMEDOUT,
	    "SM_READ beside one that waits to write: expected ETIMEDOUT");
	atomic_store(has_tried, true);
	child_expect(acquire(c->file, SM_WRITE) == 0, sm_error(NULL));
	child_expect(*c->words == 1, "the parent wrote first");
	_exit(EXIT_SUCCESS);
}

static void
fork_beside_an_upgrade(void)
{
	atomic_bool *has_tried = child_share(sizeof *has_tried);
	struct client here, there, reader, other, third;
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct errand e;
	pid_t pid;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	reader = handle_of(&here);
	third = handle_of(&here);
	other = handle_of(kinds_is_smc() ? &here : &there);
	OK(acquire(reader.file, SM_READ));
	OK(acquire(other.file, SM_READ));
	begin(&e, call_acquire, reader.file, SM_WRITE);
	await_upgrade(&third);
	pid = child_begin();
	if (pid == 0)
		be_child_of_upgrader(&reader, has_tried);
	while (!atomic_load(has_tried) && clock_now() < deadline)
		patience_breathe();
	OK(sm_unlock(other.file));
	end(&e, 0);
	*reader.words = 1;
	OK(sm_unlock(reader.file));
	child_expect_success(pid);
	client_close(&here);
	client_close(&there);
}

static void
a_child_forked_beside_an_upgrade_has_no_part_in_it(void **state)
{
	(void)state;
	kinds_run(fork_beside_an_upgrade);
}

static int
stop_signals(void **state)
{
	(void)state;
	ring(0);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, stop_signals)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_writes_and_reads_again),
		TEST(a_reader_publishes_nothing),
		TEST(a_reader_that_gives_up_writing_reads_on),
		TEST(of_two_readers_that_would_write_one_gets_edeadlk),
		TEST(readers_that_wait_come_and_writers_do_not),
		TEST(threads_of_a_process_share_and_upgrade),
		TEST(no_thread_unlocks_beside_an_upgrade),
		TEST(what_is_read_is_what_is_written),
		TEST(a_child_forked_beside_an_upgrade_has_no_part_in_it),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
