#include "bench/world.h"

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

#include "bench/kind.h"
#include "bench/process.h"
#include "common/base/clock.h"

#define START_TIME (20 * CLOCK_SEC) /* a sanitizer's build on a busy machine is slow */
#define STOP_TIME (5 * CLOCK_SEC)

/* The name in our certificate. A server has its program's name in its own, which its mount asks for. */
#define CLIENT_NAME "smbench"

/* A thousand idle clients, and those that measure. */
#define SESSIONS "2000"

struct watcher {
	struct world world;
	sigset_t old_mask;
	int signal_fd;
	int signal;                /* which one told us to end; 0: none */
	pid_t servers[KIND_COUNT]; /* -1: none */
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

/* --- the directory ------------------------------------------------------ */

/* The mount file. */
static int
write_conf(struct world *world)
{
	const char *dir = world->directory;
	FILE *file;

	snprintf(world->conf, sizeof world->conf, "%s/mounts", dir);
	file = fopen(world->conf, "w");
	if (file == NULL) {
		warn("%s", world->conf);
		return -1;
	}
	for (const struct kind *kind = kinds; kind < kinds + KIND_COUNT; kind++)
		kind_write_mount(file, kind, dir);
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

/* A path in the world's directory, of a name in two parts. */
static const char *
in_directory(const struct watcher *w, char out[PATH_MAX], const char *name, const char *end)
{
	snprintf(out, PATH_MAX, "%s/%s%s", w->world.directory, name, end);
	return out;
}

/* Copy what a program had to say to our standard error. */
static void
show_log(const struct watcher *w, const char *program)
{
	char path[PATH_MAX], bytes[4096];
	size_t size;
	FILE *file = fopen(in_directory(w, path, program, ".log"), "r");

	if (file == NULL)
		return;
	while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
		fwrite(bytes, 1, size, stderr);
	fclose(file);
}

/* In the child: become the program, which writes to its log. */
static _Noreturn void
become(const struct watcher *w, const char *program, const char *const argv[])
{
	char path[PATH_MAX];
	int null = open("/dev/null", O_RDONLY);
	int log = open(in_directory(w, path, program, ".log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (null == -1 || log == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(log, STDOUT_FILENO) == -1 || dup2(log, STDERR_FILENO) == -1 ||
	    setenv("NOTIFY_SOCKET", in_directory(w, path, "notify", ""), 1) == -1)
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
		become(w, program, argv);
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
		process_kill(pid);
}

/* Where a program is, seen from the directory of smbench. */
static const char *const server_places[] = { ".", NULL };
/* In a tree, also from build/asan; installed; copied side by side. */
static const char *const mkpki_places[] = { "../deploy", "../../deploy", "../libexec/memserver",
	"../libexec", ".", NULL };

static int
find_program(char out[PATH_MAX], const char *program, const char *const *places)
{
	int error = process_find(out, program, places);

	if (error != 0)
		warnx("cannot find %s, neither beside smbench nor in $PATH: %s", program,
		    strerror(-error));
	return error;
}

/* Run mkpki COMMAND DIR [NAME] to its end. */
static int
make_keys(struct watcher *w, const char *command, const char *name)
{
	char mkpki[PATH_MAX], directory[PATH_MAX];
	const char *const argv[] = { mkpki, command, in_directory(w, directory, "pki", ""), name,
		NULL };
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
	return -1;
}

/* A socket for READY=1 of one server: another's last words would be taken for this one's first. */
static int
open_notify(const struct watcher *w)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", w->world.directory);
	(void)unlink(address.sun_path);
	if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof address) == -1) {
		warn("%s", address.sun_path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

/* Wait until a server says that it is ready. */
static int
await_server(struct watcher *w, const struct kind *kind, pid_t *server, int notify_fd)
{
	int status = 0;
	int seen = await(w, *server, notify_fd, clock_now() + START_TIME, &status);

	if (seen == AWAIT_READABLE)
		return 0;
	if (seen == AWAIT_ENDED)
		*server = -1;
	if (w->signal == 0) {
		warnx("%s %s; it said:", kind->server,
		    seen == AWAIT_ENDED ? "ended" : "does not get ready");
		show_log(w, kind->server);
	}
	return -1;
}

/* Start the server of a kind and wait until it is ready. */
static int
start_server(struct watcher *w, const struct kind *kind, pid_t *server)
{
	char program[PATH_MAX], ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX], address[PATH_MAX],
	    files[PATH_MAX], pki[64];
	const char *argv[11] = { program, "-c", SESSIONS, "-Z" };
	size_t count = 4;
	int notify_fd, error;

	if (find_program(program, kind->server, server_places) != 0 ||
	    make_keys(w, "server", kind->server) != 0)
		return -1;
	snprintf(pki, sizeof pki, "pki/%s", kind->server);
	argv[count++] = in_directory(w, ca, "pki/root", ".crt");
	argv[count++] = in_directory(w, cert, pki, ".crt");
	argv[count++] = in_directory(w, key, pki, ".key");
	if (kind->files != NULL) {
		argv[count++] = "-r";
		argv[count++] = in_directory(w, files, kind->files, "");
	}
	argv[count] = in_directory(w, address, kind->server, ".sock");
	if ((notify_fd = open_notify(w)) == -1)
		return -1;
	error = start_program(w, kind->server, argv, server);
	if (error == 0)
		error = await_server(w, kind, server, notify_fd);
	close(notify_fd);
	return error;
}

/* --- the watcher -------------------------------------------------------- */

static int
open_watcher(struct watcher *w)
{
	sigset_t mask;

	memset(w, 0, sizeof *w);
	w->signal_fd = -1;
	w->measurer = -1;
	for (size_t i = 0; i < KIND_COUNT; i++)
		w->servers[i] = -1;
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
	if (scratch_create(w->world.directory) != 0 || make_keys(w, "init", NULL) != 0 ||
	    make_keys(w, "client", CLIENT_NAME) != 0 || write_conf(&w->world) != 0)
		return -1;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (kind_furnish(&kinds[i], w->world.directory) != 0 ||
		    (kinds[i].server != NULL && start_server(w, &kinds[i], &w->servers[i]) != 0))
			return -1;
	return 0;
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
world_run(int (*measure)(const struct world *, void *), void *arg)
{
	struct watcher w;
	int status = 1;

	if (open_watcher(&w) != 0)
		return 1;
	if (populate(&w) == 0)
		status = watch(&w, measure, arg);
	process_kill(w.measurer);
	for (size_t i = 0; i < KIND_COUNT; i++)
		stop_program(&w, w.servers[i]);
	scratch_destroy(w.world.directory);
	close(w.signal_fd);
	sigprocmask(SIG_SETMASK, &w.old_mask, NULL);
	if (w.signal != 0) {
		signal(w.signal, SIG_DFL);
		raise(w.signal);
	}
	return status;
}
