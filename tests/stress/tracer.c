#include "tests/stress/tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stress/child.h"

bool
tracer_is_allowed(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
	return child_has_ended_well(pid);
}

int
tracer_stop(void)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
		return -errno;
	raise(SIGSTOP);
	return 0;
}

/* Waits until the child stops; *signal is why. */
static int
await_stop(pid_t pid, int *signal)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	if (!WIFSTOPPED(status))
		return -ECHILD;
	*signal = WSTOPSIG(status);
	return 0;
}

/* Lets the child run to its next stop, at a system call or at SIGSTOP. */
static int
step(pid_t pid, int *signal)
{
	return ptrace(PTRACE_SYSCALL, pid, 0, 0) != 0 ? -errno : await_stop(pid, signal);
}

int
tracer_kill_at_call(pid_t pid, unsigned n, bool (*counts)(uint64_t call), uint64_t *call)
{
	struct __ptrace_syscall_info info;
	int signal = 0, error = await_stop(pid, &signal);

	if (error == 0 && signal != SIGSTOP)
		error = -EPROTO;
	if (error == 0 &&
	    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
		error = -errno;
	while (error == 0 && (error = step(pid, &signal)) == 0) {
		if (signal == SIGSTOP)
			return ptrace(PTRACE_DETACH, pid, 0, 0) == 0 ? 0 : -errno;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
			return -errno;
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY ||
		    (counts != NULL && !counts(info.entry.nr)) || --n > 0)
			continue;
		*call = info.entry.nr;
		return kill(pid, SIGKILL) == 0 ? 1 : -errno;
	}
	return error;
}
