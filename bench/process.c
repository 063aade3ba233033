#include "bench/process.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/host/ground.h"

/* In the child. Without prctl(2) a killed parent leaves it running until it reads from a pipe. */
static void
die_with(pid_t parent)
{
	if (ground_has(GROUND_PARENT_DEATH) && prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		err(1, "prctl");
	/* If the parent ended before prctl(2), no signal comes. */
	if (getppid() != parent)
		_exit(1);
}

int
process_fork(pid_t *out)
{
	const pid_t parent = getpid();
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == -1)
		return -errno;
	if (pid == 0)
		die_with(parent);
	*out = pid;
	return 0;
}

int
process_exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
process_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -errno;
	return process_exit_status(status);
}

void
process_kill(pid_t pid)
{
	if (pid == -1)
		return;
	assert(pid > 0); /* kill(0) signals the whole process group */
	kill(pid, SIGKILL);
	process_wait(pid);
}

int
process_pin(void)
{
	cpu_set_t allowed, one;
	int core = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof allowed, &allowed) == -1)
		return -errno;
	while (core > 0 && !CPU_ISSET(core, &allowed))
		core--;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	return sched_setaffinity(0, sizeof one, &one) == 0 ? core : -errno;
}

const char *
process_pin_text(int core)
{
	static char text[32];

	if (core < 0)
		return "not pinned";
	snprintf(text, sizeof text, "pinned to core %d", core);
	return text;
}

/* Looks for DIR/PLACE/NAME. A path that does not fit into out is no program. */
static int
find_in(char out[PATH_MAX], const char *dir, size_t dir_size, const char *place, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof path, "%.*s/%s/%s", (int)dir_size, dir, place, name);

	if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) == -1 || !S_ISREG(st.st_mode) ||
	    access(path, X_OK) == -1)
		return -ENOENT;
	memcpy(out, path, (size_t)n + 1);
	return 0;
}

int
process_find(char out[PATH_MAX], const char *name, const char *const *places)
{
	const char *path = getenv("PATH");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n == -1)
		return -errno;
	self[n] = '\0';
	for (; *places != NULL; places++)
		if (find_in(out, self, (size_t)(strrchr(self, '/') - self), *places, name) == 0)
			return 0;
	while (path != NULL && *path != '\0') {
		size_t size = strcspn(path, ":");

		if (size > 0 && find_in(out, path, size, ".", name) == 0)
			return 0;
		path += size + (path[size] == ':');
	}
	return -ENOENT;
}
