#include "bench/child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int
child_fork(pid_t *out)
{
	const pid_t parent = getpid();
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == -1)
		return -errno;
	/* The parent may have ended before it was asked for. */
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent))
		_exit(1);
	*out = pid;
	return 0;
}

int
child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
child_kill(pid_t pid)
{
	if (pid == -1)
		return;
	assert(pid > 0); /* 0 would be all of our process group */
	kill(pid, SIGKILL);
	child_wait(pid);
}
