#include "bench/watcher.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/process.h"
#include "common/base/clock.h"
#include "common/host/ground.h"

#define START_TIME (20 * CLOCK_SEC) /* a sanitizer's build on a busy machine is slow */
#define STOP_TIME (5 * CLOCK_SEC)

/* A thousand idle clients, and the processes that measure. */
#define SESSIONS "2000"

struct watcher {
	struct world world;
	sigset_t old_mask;
	int signal_fd;
	int signal;                 /* the one that ends this process; 0: none */
	pid_t servers[WORLD_KINDS]; /* -1: none */
	pid_t measurer;
};

/* The events that await() returns. */
enum { AWAIT_ENDED, AWAIT_READABLE };

/*
 * Waits until a child has ended, with its status of waitpid(2) in *status, or fd is readable (-1:
 * none). Returns -EINTR when a signal asks this process to end, -ETIMEDOUT when the deadline has
 * passed, or another negative errno.
 */
static int
await(struct watcher *w, pid_t pid, int fd, uint64_t deadline, int *status)
{
	struct pollfd fds[2] = { { w->signal_fd, POLLIN, 0 }, { fd, POLLIN, 0 } };
	struct signalfd_siginfo info;

	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return AWAIT_ENDED;
		if (poll(fds, 2, clock_poll_timeout(clock_now(), deadline)) == -1 && errno != EINTR)
			return -errno;
		while (read(w->signal_fd, &info, sizeof info) == sizeof info) {
			if (info.ssi_signo == SIGCHLD)
				continue;
			w->signal = (int)info.ssi_signo;
			return -EINTR;
		}
		if (fds[1].revents != 0)
			return AWAIT_READABLE;
		if (clock_now() >= deadline)
			return -ETIMEDOUT;
	}
}

/* --- programs ----------------------------------------------------------- */

/* Where a program is, relative to the directory of smbench. */
static const char *const server_places[] = { ".", NULL };
/* In a tree, also from build/asan; installed; copied side by side. */
static const char *const mkpki_places[] = { "../deploy", "../../deploy", ".", NULL };

static int
find_program(char out[PATH_MAX], const char *program, const char *const *places)
{
	int error = process_find(out, program, places);

	if (error != 0)
		warnx("cannot find %s, neither beside smbench nor in $PATH: %s", program,
		    strerror(-error));
	return error;
}

/* In the child: executes the program, whose output goes to its log. */
static _Noreturn void
execute(const struct watcher *w, const char *program, const char *const argv[])
{
	char path[PATH_MAX];
	int null = open("/dev/null", O_RDONLY);
	int log = open(world_path(&w->world, path, program, ".log"), O_WRONLY | O_CREAT | O_TRUNC,
	    0600);

	if (null == -1 || log == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(log, STDOUT_FILENO) == -1 || dup2(log, STDERR_FILENO) == -1 ||
	    setenv("NOTIFY_SOCKET", world_path(&w->world, path, "notify", ""), 1) == -1)
		_exit(127);
	sigprocmask(SIG_SETMASK, &w->old_mask, NULL);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	warn("%s", argv[0]);
	_exit(127);
}

static int
start_program(const struct watcher *w, const char *program, const char *const argv[], pid_t *out)
{
	int error = process_fork(out);

	if (error != 0)
		warnx("cannot start %s: %s", argv[0], strerror(-error));
	else if (*out == 0)
		execute(w, program, argv);
	return error;
}

/* Copies a program's log to standard error. */
static void
show_log(const struct watcher *w, const char *program)
{
	char path[PATH_MAX], bytes[4096];
	size_t size;
	FILE *file = fopen(world_path(&w->world, path, program, ".log"), "r");

	if (file == NULL)
		return;
	while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
		fwrite(bytes, 1, size, stderr);
	fclose(file);
}

/*
 * Ends a program (-1: none). SIGTERM first: mkpki then waits for its openssl, which would otherwise
 * create files while this process removes the directory.
 */
static void
stop_program(struct watcher *w, pid_t pid)
{
	const uint64_t deadline = clock_now() + STOP_TIME;
	int seen, status;

	if (pid == -1)
		return;
	kill(pid, SIGTERM);
	do
		seen = await(w, pid, -1, deadline, &status);
	while (seen == -EINTR);
	if (seen != AWAIT_ENDED)
		process_kill(pid);
}

/* --- certificates ------------------------------------------------------- */

/* Runs mkpki COMMAND DIR [NAME] to its end. */
static int
run_mkpki(struct watcher *w, const char *command, const char *name)
{
	char mkpki[PATH_MAX], directory[PATH_MAX];
	const char *const argv[] = { mkpki, command, world_path(&w->world, directory, "pki", ""),
		name, NULL };
	int error, status = 0;
	pid_t pid = -1;

	if ((error = find_program(mkpki, "mkpki", mkpki_places)) != 0 ||
	    (error = start_program(w, "mkpki", argv, &pid)) != 0)
		return error;
	error = await(w, pid, -1, clock_now() + START_TIME, &status);
	if (error < 0)
		stop_program(w, pid);
	if (error == AWAIT_ENDED && status == 0)
		return 0;
	if (w->signal == 0) {
		warnx("%s %s failed (status %d); it said:", mkpki, command,
		    process_exit_status(status));
		show_log(w, "mkpki");
	}
	return error < 0 ? error : -EIO;
}

/* --- servers ------------------------------------------------------------ */

/* Opens a socket for one server's READY=1; on a shared socket another server's messages arrive. */
static int
open_notify(const struct watcher *w, int *out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", w->world.directory);
	(void)unlink(address.sun_path);
	if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof address) == -1) {
		error = -errno;
		warn("%s", address.sun_path);
		if (fd != -1)
			close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

/* Waits until a server says that it is ready. */
static int
await_server(struct watcher *w, const char *name, pid_t *server, int notify_fd)
{
	int status = 0;
	int seen = await(w, *server, notify_fd, clock_now() + START_TIME, &status);

	if (seen == AWAIT_READABLE)
		return 0;
	if (seen == AWAIT_ENDED)
		*server = -1;
	if (w->signal == 0) {
		warnx("%s %s; it said:", name,
		    seen == AWAIT_ENDED ? "ended" : "does not get ready");
		show_log(w, name);
	}
	return seen < 0 ? seen : -EIO;
}

/* Starts a server and waits until it is ready. */
static int
run_server(struct watcher *w, const char *name, const char *const argv[], pid_t *server)
{
	int notify_fd = -1;
	int error = open_notify(w, &notify_fd);

	if (error != 0)
		return error;
	if ((error = start_program(w, name, argv, server)) == 0)
		error = await_server(w, name, server, notify_fd);
	close(notify_fd);
	return error;
}

static int
start_server(struct watcher *w, const struct world_kind *kind, pid_t *server)
{
	char program[PATH_MAX], ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX], address[PATH_MAX],
	    files[PATH_MAX], pki[64];
	const char *argv[11] = { program, "-c", SESSIONS, "-Z" };
	size_t count = 4;
	int error;

	if ((error = find_program(program, kind->server, server_places)) != 0 ||
	    (error = run_mkpki(w, "server", kind->server)) != 0)
		return error;
	snprintf(pki, sizeof pki, "pki/%s", kind->server);
	argv[count++] = world_path(&w->world, ca, "pki/root", ".crt");
	argv[count++] = world_path(&w->world, cert, pki, ".crt");
	argv[count++] = world_path(&w->world, key, pki, ".key");
	if (kind->files != NULL) {
		argv[count++] = "-r";
		argv[count++] = world_path(&w->world, files, kind->files, "");
	}
	argv[count] = world_path(&w->world, address, kind->server, ".sock");
	return run_server(w, kind->server, argv, server);
}

/* --- the watcher -------------------------------------------------------- */

static int
open_watcher(struct watcher *w)
{
	sigset_t mask;

	if (!ground_has(GROUND_SIGNALFD)) {
		warnx(
		    "this cannot be measured: the system has no signalfd(2), so that smbench runs no "
		    "servers here; give a mount and paths");
		return ground_error(GROUND_SIGNALFD);
	}
	memset(w, 0, sizeof *w);
	w->signal_fd = -1;
	w->measurer = -1;
	for (size_t i = 0; i < WORLD_KINDS; i++)
		w->servers[i] = -1;
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, &w->old_mask) == -1 ||
	    (w->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		int error = -errno;

		warn("signals");
		return error;
	}
	return 0;
}

static int
start_all(struct watcher *w)
{
	int error;

	if ((error = world_open(&w->world)) != 0 || (error = run_mkpki(w, "init", NULL)) != 0 ||
	    (error = run_mkpki(w, "client", WORLD_CLIENT)) != 0)
		return error;
	for (size_t i = 0; i < WORLD_KINDS && error == 0; i++)
		if (world_kinds[i].server != NULL)
			error = start_server(w, &world_kinds[i], &w->servers[i]);
	return error;
}

static int
watch(struct watcher *w, int (*measure)(const struct world *, void *), void *arg)
{
	int status = 0;

	if (process_fork(&w->measurer) != 0) {
		warnx("cannot start a process");
		return 1;
	}
	if (w->measurer == 0) {
		sigprocmask(SIG_SETMASK, &w->old_mask, NULL);
		exit(measure(&w->world, arg));
	}
	if (await(w, w->measurer, -1, CLOCK_NEVER, &status) != AWAIT_ENDED)
		return 1;
	w->measurer = -1;
	if (WIFSIGNALED(status))
		warnx("the measuring was ended by signal %d", WTERMSIG(status));
	return process_exit_status(status);
}

int
watcher_run(int (*measure)(const struct world *, void *), void *arg)
{
	struct watcher w;
	int status = 1;

	if (open_watcher(&w) != 0)
		return 1;
	if (start_all(&w) == 0)
		status = watch(&w, measure, arg);
	process_kill(w.measurer);
	for (size_t i = 0; i < WORLD_KINDS; i++)
		stop_program(&w, w.servers[i]);
	world_close(&w.world);
	close(w.signal_fd);
	sigprocmask(SIG_SETMASK, &w.old_mask, NULL);
	if (w.signal != 0) {
		signal(w.signal, SIG_DFL);
		raise(w.signal);
	}
	return status;
}
