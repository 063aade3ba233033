#include "tests/stress/child.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/patience.h"

void *
child_share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

pid_t
child_fork(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	pid_t pid = fork();
	size_t i;

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < sizeof faults / sizeof faults[0]; i++)
		(void)signal(faults[i], SIG_DFL);
	return 0;
}

pid_t
child_begin(void)
{
	pid_t pid = child_fork();

	assert_int_not_equal(pid, -1);
	return pid;
}

void
child_expect(bool is_right, const char *what)
{
	int error = errno;

	if (is_right)
		return;
	fprintf(stderr, "process %ld: not so: %s (errno %d, %s; the library says: %s)\n",
	    (long)getpid(), what, error, strerror(error), sm_error(NULL));
	_exit(EXIT_FAILURE);
}

void
child_complain(struct child_complaint *c, const char *format, ...)
{
	va_list args;

	if (atomic_exchange(&c->is_made, 1) == 0) {
		va_start(args, format);
		vsnprintf(c->text, sizeof c->text, format, args);
		va_end(args);
	}
	_exit(EXIT_FAILURE);
}

void
child_expect_no_complaint(const struct child_complaint *c)
{
	if (atomic_load(&c->is_made))
		fail_msg("%s", c->text);
}

bool
child_await(const atomic_bool *flag, uint64_t ms)
{
	uint64_t deadline = patience_until(ms);

	while (!atomic_load(flag) && clock_now() < deadline)
		patience_breathe();
	return atomic_load(flag);
}

bool
child_has_ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && status == 0;
}

bool
child_was_killed(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	    WTERMSIG(status) == SIGKILL;
}

static void
expect_success(pid_t pid, int status)
{
	if (status != 0)
		fail_msg("child %ld: expected exit status 0, got wait status 0x%x", (long)pid,
		    (unsigned)status);
}

void
child_expect_success(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	expect_success(pid, status);
}

void
child_expect_success_or_skip(pid_t pid, const char *reason)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPPED) {
		print_message("# %s\n", reason);
		skip();
	}
	expect_success(pid, status);
}

void
child_increment_together(unsigned children, int times, int (*increment)(int times))
{
	pid_t pids[CHILD_TOGETHER_MOST];
	unsigned i;

	assert_in_range(children, 1, CHILD_TOGETHER_MOST);
	assert_int_equal(increment(times), 0);
	for (i = 0; i < children; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			_exit(increment(times));
		assert_int_equal(increment(10), 0);
	}
	assert_int_equal(increment(times), 0);
	for (i = 0; i < children; i++)
		child_expect_success(pids[i]);
}

void
child_kill_all(pid_t *pids, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (pids[i] > 0) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
			pids[i] = -1;
		}
}
