#include "tests/stress/scratch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARENT_MOST = 64 };

void
scratch_create(char path[SCRATCH_PATH_SIZE])
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL || strlen(parent) > PARENT_MOST)
		parent = "/tmp";
	snprintf(path, SCRATCH_PATH_SIZE, "%s/stress.XXXXXX", parent);
	if (mkdtemp(path) == NULL)
		fail_msg("mkdtemp in %s: %s", parent, strerror(errno));
}

void
scratch_remove(char path[SCRATCH_PATH_SIZE])
{
	const char *args[] = { "/bin/rm", "-rf", path, NULL };

	if (path[0] == '\0')
		return;
	scratch_run(args);
	path[0] = '\0';
}

void
scratch_run(const char *const *args)
{
	int status = -1, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open("/dev/null", O_RDWR);
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		execv(args[0], (char *const *)args);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		fail_msg("%s %s: expected exit status 0, got status 0x%x", args[0],
		    args[1] != NULL ? args[1] : "", status);
}

void
scratch_find(char *out, unsigned size, const char *variable, const char *name)
{
	const char *root = getenv(variable);

	if (root == NULL)
		fail_msg("the environment has no %s: run this through tests/run", variable);
	snprintf(out, size, "%s/%s", root, name);
}
