/* No random pool survives a fork, whatever way the process was copied. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/rand.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto/libctx.h"
#include "common/crypto/random.h"

enum { DRAW = 16, DRAWS_MOST = 256, CHILDREN = 64 };

/* The bytes that all processes of a test drew, in shared memory. */
static struct {
	atomic_int count;
	uint8_t draws[DRAWS_MOST][DRAW];
} * drawn;

/* A child cannot use assertions: the parent notices bytes that were not drawn. */
static void
draw(void)
{
	int i = atomic_fetch_add(&drawn->count, 1);

	if (i >= DRAWS_MOST || random_bytes(drawn->draws[i], DRAW) != 0)
		_exit(1);
}

static int
new_page(void **state)
{
	(void)state;
	drawn = mmap(NULL, sizeof *drawn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	    0);
	return drawn == MAP_FAILED;
}

static int
drop_page(void **state)
{
	(void)state;
	return munmap(drawn, sizeof *drawn);
}

static void
assert_all_differ(int count)
{
	int i, j;

	assert_int_equal(atomic_load(&drawn->count), count);
	for (i = 0; i < count; i++)
		for (j = 0; j < i; j++)
			assert_memory_not_equal(drawn->draws[i], drawn->draws[j], DRAW);
}

static bool
has_ended_well(pid_t pid)
{
	int status;
	pid_t ended;

	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	return ended == pid && status == 0;
}

/* Copies this process without the C library, so that no handlers run. */
static pid_t
clone_bare(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void
children_of_one_parent_draw_differently(void **state)
{
	pid_t pids[CHILDREN];
	int i;

	(void)state;
	draw();
	for (i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			draw();
			_exit(0);
		}
	}
	draw();
	for (i = 0; i < CHILDREN; i++)
		assert_true(has_ended_well(pids[i]));
	draw();
	assert_all_differ(CHILDREN + 3);
}

/* Draws; depth generations below do so too, before and after each forks. */
static void
draw_and_fork(int depth, unsigned long flags, bool bare)
{
	pid_t pid;

	draw();
	if (depth == 0)
		return;
	pid = bare ? clone_bare(flags) : fork();
	if (pid == 0) {
		draw_and_fork(depth - 1, flags, bare);
		_exit(0);
	}
	draw();
	if (pid < 0 || !has_ended_well(pid))
		_exit(2);
}

/* Runs them in a child, so that _exit() returns here. */
static void
run_generations(int depth, unsigned long flags, bool bare)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		draw_and_fork(depth, flags, bare);
		_exit(0);
	}
	assert_true(has_ended_well(pid));
	assert_all_differ(2 * depth + 1);
}

static void
nested_forks_draw_differently(void **state)
{
	(void)state;
	run_generations(8, 0, false);
}

static void
a_bare_clone_draws_differently(void **state)
{
	(void)state;
	run_generations(8, 0, true);
}

static void
a_bare_vfork_draws_differently(void **state)
{
	(void)state;
	run_generations(8, CLONE_VFORK, true);
}

/* The same in namespaces where each process has the id 1, which then shows nothing. */
static void
a_copy_with_the_same_process_id_draws_differently(void **state)
{
	pid_t pid = clone_bare(CLONE_NEWPID);

	(void)state;
	if (pid == 0)
		_exit(getpid() != 1);
	if (pid < 0) {
		print_message("new pid namespaces are not allowed here: %s\n", strerror(errno));
		skip();
	}
	assert_true(has_ended_well(pid));
	run_generations(8, CLONE_NEWPID, true);
}

/* TLS draws from OpenSSL's other generator, which copies with equal process ids would share. */
static void
draw_as_tls_does(void)
{
	int i = atomic_fetch_add(&drawn->count, 1);
	struct libctx_step step;

	if (libctx_begin(&step) != 0 || libctx_start_drawing() != 0 ||
	    RAND_priv_bytes_ex(libctx_get(), drawn->draws[i], DRAW, 0) != 1)
		_exit(1);
	libctx_end(&step);
}

static void
openssl_draws_differently_for_tls(void **state)
{
	pid_t pid = clone_bare(CLONE_NEWPID);

	(void)state;
	if (pid == 0) {
		draw_as_tls_does();
		pid = clone_bare(CLONE_NEWPID);
		draw_as_tls_does();
		_exit(pid != 0 && !has_ended_well(pid));
	}
	if (pid < 0) {
		print_message("new pid namespaces are not allowed here: %s\n", strerror(errno));
		skip();
	}
	assert_true(has_ended_well(pid));
	assert_all_differ(3);
}

/* This does not prove randomness: it finds bytes that are never written. */
static void
all_bytes_are_drawn(void **state)
{
	uint8_t seen[33] = { 0 }, bytes[33];
	uint64_t number, zeros = UINT64_MAX, ones = 0;
	int i;
	size_t j;

	(void)state;
	for (i = 0; i < 64; i++) {
		memset(bytes, 0, sizeof bytes);
		assert_int_equal(random_bytes(bytes, sizeof bytes - 1), 0);
		for (j = 0; j < sizeof bytes; j++)
			seen[j] |= bytes[j];
		assert_int_equal(random_u64(&number), 0);
		zeros &= number;
		ones |= number;
	}
	for (j = 0; j < sizeof seen - 1; j++)
		assert_int_equal(seen[j], 0xff);
	assert_int_equal(seen[sizeof seen - 1], 0);
	assert_true(zeros == 0 && ones == UINT64_MAX);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(children_of_one_parent_draw_differently, new_page,
		    drop_page),
		cmocka_unit_test_setup_teardown(nested_forks_draw_differently, new_page, drop_page),
		cmocka_unit_test_setup_teardown(a_bare_clone_draws_differently, new_page,
		    drop_page),
		cmocka_unit_test_setup_teardown(a_bare_vfork_draws_differently, new_page,
		    drop_page),
		cmocka_unit_test_setup_teardown(a_copy_with_the_same_process_id_draws_differently,
		    new_page, drop_page),
		cmocka_unit_test_setup_teardown(openssl_draws_differently_for_tls, new_page,
		    drop_page),
		cmocka_unit_test(all_bytes_are_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
