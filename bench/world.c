#include "bench/world.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

#include "bench/child.h"
#include "bench/tool.h"
#include "common/base/clock.h"

#define START_TIME (20 * CLOCK_SEC) /* a sanitizer's build on a busy machine is slow */
#define STOP_TIME (5 * CLOCK_SEC)

/* The name in the server's certificate, which the mount asks for. */
#define SERVER_NAME "smdishserver"
#define CLIENT_NAME "smbench"

/* A thousand idle clients, and those that measure. */
#define SESSIONS "2000"

struct watcher {
	struct world world;
	sigset_t old_mask;
	int signal_fd;
	int notify_fd; /* where the server says READY=1 */
	int signal;    /* which one told us to end; 0: none */
	pid_t server;
	pid_t measurer;
};

/* What await() saw. */
enum { AWAIT_ENDED, AWAIT_READABLE };

/*
 * Wait until a child has ended (its status is then in *status, as waitpid(2)
 * has it), fd can be read (-1: none), or we are told to end: -EINTR; or the
 * deadline has passed: -ETIMEDOUT.
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

static int
exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- the directory ------------------------------------------------------ */

/*
 * A socket's address has 108 bytes, and a mount file's lexer its own ideas
 * about blanks, # and $: a TMPDIR that is long or strange is not used.
 */
static int
make_directory(struct world *world)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789/._-";
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > 40 || tmp[strspn(tmp, plain)] != '\0')
		tmp = "/tmp";
	snprintf(world->directory, sizeof world->directory, "%s/smbench.XXXXXX", tmp);
	if (mkdtemp(world->directory) == NULL) {
		warn("%s", world->directory);
		world->directory[0] = '\0';
		return -1;
	}
	snprintf(world->conf, sizeof world->conf, "%s/mounts", world->directory);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path) == -1)
		warn("cannot remove %s", path);
	return 0;
}

static void
remove_directory(struct world *world)
{
	if (world->directory[0] != '\0')
		nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	world->directory[0] = '\0';
}

static int
write_conf(const struct world *world)
{
	const char *dir = world->directory;
	FILE *file = fopen(world->conf, "w");

	if (file == NULL) {
		warn("%s", world->conf);
		return -1;
	}
	fprintf(file, "MOUNT unix:%s/socket %s smdish name=%s\n", dir, WORLD_MOUNT, SERVER_NAME);
	fprintf(file, "CAFILE %s/pki/root.crt\n", dir);
	fprintf(file, "CERTFILE %s/pki/%s.crt\n", dir, CLIENT_NAME);
	fprintf(file, "KEYFILE %s/pki/%s.key\n", dir, CLIENT_NAME);
	if (ferror(file) | fclose(file)) {
		warn("%s", world->conf);
		return -1;
	}
	return 0;
}

/* --- the programs ------------------------------------------------------- */

/* A path in the world's directory. */
static const char *
in_directory(const struct watcher *w, char out[PATH_MAX], const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", w->world.directory, name);
	return out;
}

/* Copy what the programs had to say to our standard error. */
static void
show_log(const struct watcher *w)
{
	char path[PATH_MAX], bytes[4096];
	size_t size;
	FILE *file = fopen(in_directory(w, path, "log"), "r");

	if (file == NULL)
		return;
	while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
		fwrite(bytes, 1, size, stderr);
	fclose(file);
}

/* In the child: become the program, which writes to the log. */
static _Noreturn void
become(const struct watcher *w, const char *const argv[])
{
	char path[PATH_MAX];
	int null = open("/dev/null", O_RDONLY);
	int log = open(in_directory(w, path, "log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (null == -1 || log == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(log, STDOUT_FILENO) == -1 || dup2(log, STDERR_FILENO) == -1 ||
	    setenv("NOTIFY_SOCKET", in_directory(w, path, "notify"), 1) == -1)
		_exit(127);
	sigprocmask(SIG_SETMASK, &w->old_mask, NULL);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	warn("%s", argv[0]);
	_exit(127);
}

static int
start_program(const struct watcher *w, const char *const argv[], pid_t *out)
{
	int error = child_fork(out);

	if (error != 0)
		warnx("cannot start %s: %s", argv[0], strerror(-error));
	else if (*out == 0)
		become(w, argv);
	return error;
}

/*
 * End a program; -1 is none.  With SIGTERM, so that mkpki waits for the openssl
 * that it runs, which would make files while we remove them.
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
		child_kill(pid);
}

static int
find_program(char out[PATH_MAX], enum tool tool)
{
	int error = tool_find(out, tool);

	if (error != 0)
		warnx("cannot find %s, neither beside smbench nor in $PATH: %s", tool_name(tool),
		    strerror(-error));
	return error;
}

/* Run mkpki COMMAND DIR [NAME] to its end. */
static int
make_keys(struct watcher *w, const char *mkpki, const char *command, const char *name)
{
	char directory[PATH_MAX];
	const char *const argv[] = { mkpki, command, in_directory(w, directory, "pki"), name,
		NULL };
	int error, status = 0;
	pid_t pid = -1;

	if ((error = start_program(w, argv, &pid)) != 0)
		return error;
	error = await(w, pid, -1, clock_now() + START_TIME, &status);
	if (error < 0)
		stop_program(w, pid);
	if (error == AWAIT_ENDED && status == 0)
		return 0;
	if (w->signal == 0) {
		warnx("%s %s failed (status %d); it said:", mkpki, command, exit_status(status));
		show_log(w);
	}
	return -1;
}

static int
open_notify(struct watcher *w)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", w->world.directory);
	w->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (w->notify_fd == -1 ||
	    bind(w->notify_fd, (struct sockaddr *)&address, sizeof address) == -1) {
		warn("%s", address.sun_path);
		return -1;
	}
	return 0;
}

/* Start the server and wait until it says that it is ready. */
static int
start_server(struct watcher *w, const char *smdishserver)
{
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX], address[PATH_MAX];
	const char *const argv[] = { smdishserver, "-c", SESSIONS, "-Z",
		in_directory(w, ca, "pki/root.crt"),
		in_directory(w, cert, "pki/" SERVER_NAME ".crt"),
		in_directory(w, key, "pki/" SERVER_NAME ".key"), in_directory(w, address, "socket"),
		NULL };
	int seen, status = 0;

	if (open_notify(w) != 0 || start_program(w, argv, &w->server) != 0)
		return -1;
	seen = await(w, w->server, w->notify_fd, clock_now() + START_TIME, &status);
	if (seen == AWAIT_READABLE)
		return 0;
	if (seen == AWAIT_ENDED)
		w->server = -1;
	if (w->signal == 0) {
		warnx("%s %s; it said:", smdishserver,
		    seen == AWAIT_ENDED ? "ended" : "does not get ready");
		show_log(w);
	}
	return -1;
}

/* --- the watcher -------------------------------------------------------- */

static int
open_watcher(struct watcher *w)
{
	sigset_t mask;

	memset(w, 0, sizeof *w);
	w->signal_fd = w->notify_fd = -1;
	w->server = w->measurer = -1;
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, &w->old_mask) == -1 ||
	    (w->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		warn("signals");
		return -1;
	}
	return 0;
}

static int
populate(struct watcher *w)
{
	char mkpki[PATH_MAX], smdishserver[PATH_MAX];

	if (find_program(mkpki, TOOL_MKPKI) != 0 ||
	    find_program(smdishserver, TOOL_SMDISHSERVER) != 0)
		return -1;
	if (make_directory(&w->world) != 0 || make_keys(w, mkpki, "init", NULL) != 0 ||
	    make_keys(w, mkpki, "server", SERVER_NAME) != 0 ||
	    make_keys(w, mkpki, "client", CLIENT_NAME) != 0)
		return -1;
	return write_conf(&w->world) != 0 ? -1 : start_server(w, smdishserver);
}

static int
watch(struct watcher *w, int (*measure)(const struct world *, void *), void *arg)
{
	int status = 0;

	if (child_fork(&w->measurer) != 0) {
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
	return exit_status(status);
}

int
world_run(int (*measure)(const struct world *, void *), void *arg)
{
	struct watcher w;
	int status = 1;

	if (open_watcher(&w) != 0)
		return 1;
	if (populate(&w) == 0)
		status = watch(&w, measure, arg);
	child_kill(w.measurer);
	stop_program(&w, w.server);
	remove_directory(&w.world);
	close(w.signal_fd);
	if (w.notify_fd != -1)
		close(w.notify_fd);
	sigprocmask(SIG_SETMASK, &w.old_mask, NULL);
	if (w.signal != 0) {
		signal(w.signal, SIG_DFL);
		raise(w.signal);
	}
	return status;
}
