#include "tests/stress/daemon.h"

#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/patience.h"

enum { PROGRAM_SIZE = 512, ARGV_MOST = DAEMON_ARGS_MOST + 10, LINE_SIZE = 2048 };

/* Returns a port that was free a moment ago. */
static int
free_port(const char *host)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, host, &sin.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &size), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

void
daemon_init(struct daemon *d, const struct daemon_config *config)
{
	*d = (struct daemon){ .config = *config, .pid = -1, .error_fd = -1, .pipe = { -1, -1 } };
	if (config->has_keys && config->pki == NULL) {
		pki_create(&d->own_keys);
		d->config.pki = &d->own_keys;
	}
	scratch_create(d->dir);
	snprintf(d->socket, sizeof d->socket, "%s/socket", d->dir);
	snprintf(d->address, sizeof d->address, "unix:%s", d->socket);
	snprintf(d->log, sizeof d->log, "%s/log", d->dir);
	snprintf(d->memdir, sizeof d->memdir, "%s/mem", d->dir);
	if (config->is_smuf)
		assert_int_equal(mkdir(d->memdir, 0700), 0);
	if (config->tcp_host != NULL)
		snprintf(d->tcp, sizeof d->tcp, "tcp:%s:%d", config->tcp_host,
		    free_port(config->tcp_host));
}

/* In the child: its standard streams and its limits. */
static void
prepare_server(const struct daemon *d)
{
	const struct rlimit limit = { d->config.limit, d->config.limit };
	int fd = d->pipe[1];

	if (!d->config.is_unheard)
		fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(d->error_fd >= 0 ? d->error_fd : fd, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	if (limit.rlim_cur != 0) {
		setrlimit(d->config.limited, &limit);
		prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE); /* root could raise it */
	}
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* In the child. */
static void
exec_server(const struct daemon *d, const char *program)
{
	char ca[PKI_PATH_SIZE], cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE];
	const char *argv[ARGV_MOST] = { program };
	int n = 1, i;

	for (i = 0; i < DAEMON_ARGS_MOST && d->config.args[i] != NULL; i++)
		argv[n++] = d->config.args[i];
	if (d->config.pki != NULL) {
		argv[n++] = "-Z";
		argv[n++] = pki_file(d->config.pki, "root", "crt", ca);
		argv[n++] = pki_file(d->config.pki, "server", "crt", cert);
		argv[n++] = pki_file(d->config.pki, "server", "key", key);
	}
	if (d->config.is_smuf) {
		argv[n++] = "-r";
		argv[n++] = d->memdir;
	}
	argv[n++] = d->socket;
	if (d->tcp[0] != '\0')
		argv[n++] = d->tcp;
	prepare_server(d);
	execv(program, (char *const *)argv);
	_exit(127);
}

int
daemon_dial(const struct daemon *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	strlcpy(sun.sun_path, d->socket, sizeof sun.sun_path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* True when it has ended by itself; it is then reaped. */
static bool
has_ended(struct daemon *d, int *status)
{
	if (waitpid(d->pid, status, WNOHANG) != d->pid)
		return false;
	d->pid = -1;
	return true;
}

/*
 * The server logs "listening" once for each address. A test connection would be a peer that leaves
 * in its handshake, and add a line to the log: only a server without a log gets one.
 */
static bool
is_listening(const struct daemon *d, size_t mark)
{
	unsigned addresses = d->tcp[0] != '\0' ? 2 : 1;
	int fd;

	if (d->error_fd >= 0 || d->config.is_unheard) {
		fd = daemon_dial(d);
		if (fd >= 0)
			close(fd);
		return fd >= 0;
	}
	return daemon_log_count(d, mark, "listening on ", "") == addresses;
}

void
daemon_start(struct daemon *d)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	size_t mark = daemon_log_mark(d);
	char program[PROGRAM_SIZE];
	int status;

	scratch_find(program, sizeof program, "BUILD",
	    d->config.is_smuf ? "smufserver" : "smdishserver");
	if (d->config.is_unheard && d->pipe[0] < 0)
		assert_int_equal(pipe2(d->pipe, O_CLOEXEC), 0);
	d->pid = fork();
	if (d->pid == 0)
		exec_server(d, program);
	assert_int_not_equal(d->pid, -1);
	while (!is_listening(d, mark)) {
		if (has_ended(d, &status)) {
			daemon_log_show(d, mark);
			fail_msg("the server ended at once, status 0x%x", status);
		}
		if (clock_now() > deadline) {
			daemon_log_show(d, mark);
			fail_msg("the server does not say that it listens");
		}
		patience_breathe();
	}
}

void
daemon_stop(struct daemon *d)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int status = 0;

	if (d->pid == -1)
		return;
	kill(d->pid, SIGTERM);
	while (!has_ended(d, &status)) {
		if (clock_now() > deadline) {
			daemon_log_show(d, 0);
			fail_msg("the server was told to stop and still runs");
		}
		patience_breathe();
	}
	if (status != 0) {
		daemon_log_show(d, 0);
		fail_msg("expected the server to exit with 0, got status 0x%x", status);
	}
	if (access(d->socket, F_OK) == 0)
		fail_msg("the server left its socket behind");
}

void
daemon_signal(struct daemon *d, int signal)
{
	assert_int_not_equal(d->pid, -1);
	assert_int_equal(kill(d->pid, signal), 0);
	if (signal != SIGKILL)
		return;
	assert_int_equal(waitpid(d->pid, NULL, 0), d->pid);
	d->pid = -1;
}

void
daemon_fini(struct daemon *d)
{
	if (d->pid > 0) {
		kill(d->pid, SIGKILL);
		waitpid(d->pid, NULL, 0);
		d->pid = -1;
	}
	if (d->config.is_unheard && d->pipe[0] >= 0) {
		close(d->pipe[0]);
		close(d->pipe[1]);
		d->pipe[0] = d->pipe[1] = -1;
	}
	scratch_remove(d->dir);
	pki_destroy(&d->own_keys);
}

void
daemon_open(struct daemon *d, const struct daemon_config *config)
{
	daemon_init(d, config);
	daemon_start(d);
}

void
daemon_close(struct daemon *d)
{
	daemon_stop(d);
	daemon_fini(d);
}

void
daemon_close_silent(struct daemon *d)
{
	daemon_stop(d);
	daemon_log_expect(d, 0, 0);
	daemon_fini(d);
}

int
daemon_teardown(void **state)
{
	if (*state != NULL)
		daemon_close(*state);
	return 0;
}

/* The log. */

size_t
daemon_log_mark(const struct daemon *d)
{
	FILE *f = fopen(d->log, "re");
	long end = 0;

	if (f == NULL)
		return 0;
	if (fseek(f, 0, SEEK_END) == 0)
		end = ftell(f);
	fclose(f);
	return end > 0 ? (size_t)end : 0;
}

/* Opens the log at mark. NULL when there is none yet. */
static FILE *
open_log(const struct daemon *d, size_t mark)
{
	FILE *f = fopen(d->log, "re");

	if (f != NULL)
		assert_int_equal(fseek(f, (long)mark, SEEK_SET), 0);
	return f;
}

unsigned
daemon_log_count(const struct daemon *d, size_t mark, const char *a, const char *b)
{
	FILE *f = open_log(d, mark);
	char line[LINE_SIZE];
	unsigned count = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL)
		count += strstr(line, a) != NULL && strstr(line, b) != NULL;
	fclose(f);
	return count;
}

unsigned
daemon_log_complaints(const struct daemon *d, size_t mark)
{
	return daemon_log_count(d, mark, "] warning: ", "") +
	    daemon_log_count(d, mark, "] error: ", "");
}

void
daemon_log_expect(const struct daemon *d, size_t mark, unsigned complaints)
{
	unsigned count = daemon_log_complaints(d, mark);

	if (count == complaints)
		return;
	daemon_log_show(d, mark);
	fail_msg("warnings and errors in the log: expected %u, got %u", complaints, count);
}

void
daemon_log_await(const struct daemon *d, size_t mark, const char *a, const char *b)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (daemon_log_count(d, mark, a, b) == 0) {
		if (clock_now() > deadline) {
			daemon_log_show(d, mark);
			fail_msg("no line of the log has \"%s\" and \"%s\"", a, b);
		}
		patience_breathe();
	}
}

void
daemon_log_show(const struct daemon *d, size_t mark)
{
	FILE *f = open_log(d, mark);
	char line[LINE_SIZE];

	fprintf(stderr, "the server's log:\n");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		fprintf(stderr, "    %s", line);
	if (f != NULL)
		fclose(f);
}
