#include "common/server/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"

/* In the parent. */
static void __attribute__((noreturn)) wait_and_exit(int fd)
{
	uint8_t status = EXIT_FAILURE;

	/* At the end of file the daemon has ended without a status. */
	while (read(fd, &status, 1) < 0 && errno == EINTR)
		;
	_exit(status);
}

int
background_enter(struct background *b)
{
	int ends[2];
	pid_t pid;

	/* Now, as nothing may fail once the daemon has said that it listens. */
	b->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (b->null_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ends[1]);
		wait_and_exit(ends[0]);
	}
	close(ends[0]);
	b->parent_fd = ends[1];
	setsid();
	return 0;
}

void
background_complete(struct background *b)
{
	uint8_t status = EXIT_SUCCESS;

	if (b->parent_fd < 0)
		return;
	log_leave_stderr();
	dup2(b->null_fd, STDIN_FILENO);
	dup2(b->null_fd, STDOUT_FILENO);
	dup2(b->null_fd, STDERR_FILENO);
	close(b->null_fd);
	if (write(b->parent_fd, &status, 1) != 1)
		log_warning("the parent process ended before this daemon was ready");
	close(b->parent_fd);
	*b = BACKGROUND_NONE;
}
