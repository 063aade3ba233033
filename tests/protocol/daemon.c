#include "tests/protocol/daemon.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/patience.h"

enum { ARGS_MOST = 24 };

int
daemon_init(struct daemon *d)
{
	const char *parent = getenv("TMPDIR");

	*d = (struct daemon){ 0 };
	if (parent == NULL || strlen(parent) > 40)
		parent = "/tmp";
	snprintf(d->dir, sizeof d->dir, "%s/protocol.XXXXXX", parent);
	if (mkdtemp(d->dir) == NULL)
		return -errno;
	snprintf(d->path, sizeof d->path, "%s/socket", d->dir);
	snprintf(d->log, sizeof d->log, "%s/log", d->dir);
	snprintf(d->pki, sizeof d->pki, "%s/pki", d->dir);
	return 0;
}

/* Runs a program to its end, its output in the log. Returns its exit status, or -1. */
static int
run(const struct daemon *d, const char *const *args)
{
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execv(args[0], (char *const *)args);
		_exit(127);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

void
daemon_fini(struct daemon *d)
{
	const char *args[] = { "/bin/rm", "-rf", d->dir, NULL };

	if (d->dir[0] != '\0')
		run(d, args);
	*d = (struct daemon){ 0 };
}

/* Appends the end of the log to a reason. */
static void
add_log(const struct daemon *d, char reason[DAEMON_REASON_SIZE])
{
	size_t used = strlen(reason), room = DAEMON_REASON_SIZE - used;
	FILE *f = fopen(d->log, "r");
	char tail[DAEMON_REASON_SIZE];
	size_t size;

	if (f == NULL)
		return;
	if (fseek(f, -(long)(room > 20 ? room - 20 : 0), SEEK_END) != 0)
		rewind(f);
	size = fread(tail, 1, sizeof tail - 1, f);
	tail[size] = '\0';
	fclose(f);
	snprintf(reason + used, room, "; its log: %s", tail);
}

bool
daemon_make_keys(struct daemon *d, const char *mkpki, char reason[DAEMON_REASON_SIZE])
{
	const char *const commands[][5] = {
		{ mkpki, "init", d->pki, NULL },
		{ mkpki, "server", d->pki, "server", NULL },
		{ mkpki, "client", d->pki, "client", NULL },
		{ mkpki, "client", d->pki, "operator", NULL },
	};
	size_t i;

	for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (run(d, commands[i]) != 0) {
			snprintf(reason, DAEMON_REASON_SIZE, "%s %s failed", mkpki, commands[i][1]);
			add_log(d, reason);
			return false;
		}
	return true;
}

int
daemon_connect(const struct daemon *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd == -1)
		return -errno;
	strlcpy(sun.sun_path, d->path, sizeof sun.sun_path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static void
exec_daemon(const struct daemon *d, const char *program, const char *const *args)
{
	const char *all[ARGS_MOST] = { program };
	size_t count = 1;
	int fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	while (*args != NULL && count < ARGS_MOST - 2)
		all[count++] = *args++;
	all[count] = d->path;
	dup2(fd, STDERR_FILENO);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(program, (char *const *)all);
	_exit(127);
}

/* True when the child has ended; it is then reaped. */
static bool
has_ended(struct daemon *d, int *status)
{
	if (waitpid(d->pid, status, WNOHANG) != d->pid)
		return false;
	d->pid = 0;
	return true;
}

bool
daemon_start(struct daemon *d, const char *program, const char *const *args,
    char reason[DAEMON_REASON_SIZE])
{
	uint64_t deadline = patience_until(DAEMON_PATIENCE_MS);
	int status, fd;
	pid_t pid;

	unlink(d->log);
	pid = fork();
	if (pid == 0)
		exec_daemon(d, program, args);
	if (pid == -1) {
		snprintf(reason, DAEMON_REASON_SIZE, "fork: %s", strerror(errno));
		return false;
	}
	d->pid = pid;
	while ((fd = daemon_connect(d)) < 0) {
		if (has_ended(d, &status)) {
			snprintf(reason, DAEMON_REASON_SIZE, "%s ended at once, with status %d",
			    program, status);
			add_log(d, reason);
			return false;
		}
		if (clock_now() > deadline) {
			snprintf(reason, DAEMON_REASON_SIZE, "%s does not listen on %s: %s",
			    program, d->path, strerror(-fd));
			add_log(d, reason);
			daemon_stop(d, (char[DAEMON_REASON_SIZE]){ 0 });
			return false;
		}
		poll(NULL, 0, 2);
	}
	close(fd);
	return true;
}

bool
daemon_stop(struct daemon *d, char reason[DAEMON_REASON_SIZE])
{
	uint64_t deadline = patience_until(DAEMON_PATIENCE_MS);
	int status = 0;

	if (d->pid <= 0)
		return true;
	kill(d->pid, SIGTERM);
	while (!has_ended(d, &status)) {
		if (clock_now() > deadline) {
			kill(d->pid, SIGKILL);
			waitpid(d->pid, &status, 0);
			d->pid = 0;
			snprintf(reason, DAEMON_REASON_SIZE,
			    "the server did not stop when asked to");
			add_log(d, reason);
			return false;
		}
		poll(NULL, 0, 2);
	}
	if (status != 0) {
		snprintf(reason, DAEMON_REASON_SIZE, "the server ended with status 0x%x", status);
		add_log(d, reason);
		return false;
	}
	if (access(d->path, F_OK) == 0) {
		snprintf(reason, DAEMON_REASON_SIZE, "the server left its socket behind");
		return false;
	}
	return true;
}
