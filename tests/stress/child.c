#include "tests/stress/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/client/smclient.h"

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
