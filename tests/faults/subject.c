#include "tests/faults/subject.h"

#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/forkmark.h"
#include "common/server/main.h"
#include "common/server/notify.h"
#include "common/server/options.h"
#include "smdish/store.h"
#include "smuf/store.h"
#include "tests/faults/faults.h"
#include "tests/faults/verdict.h"
#include "tests/stress/patience.h"

enum { ARGS_MOST = 16, FDS_MOST = 128, TEXT_SIZE = 16 };

int __real_notify_send(const char *state);
int __wrap_notify_send(const char *state);
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int ready_fd = -1; /* in the daemon's process */

/* The daemon tells systemd its state; here the test is who listens. */
int
__wrap_notify_send(const char *state)
{
	if (ready_fd < 0)
		return __real_notify_send(state);
	if (strcmp(state, "READY=1") == 0 && write(ready_fd, "r", 1) != 1)
		return -errno;
	return 0;
}

int
subject_init(struct subject *s, bool is_smuf)
{
	const char *parent = getenv("TMPDIR");

	*s = (struct subject){ .is_smuf = is_smuf, .pid = -1, .end = -1 };
	if (parent == NULL || strlen(parent) > sizeof s->dir / 2)
		parent = "/tmp";
	snprintf(s->dir, sizeof s->dir, "%s/faults.XXXXXX", parent);
	if (mkdtemp(s->dir) == NULL)
		return -errno;
	snprintf(s->socket, sizeof s->socket, "%s/socket", s->dir);
	snprintf(s->memdir, sizeof s->memdir, "%s/mem", s->dir);
	snprintf(s->log, sizeof s->log, "%s/log", s->dir);
	if (mkdir(s->memdir, 0700) != 0)
		return -errno;
	return faults_create(&s->faults);
}

/* Removes what is in a directory. Returns how many files that were. */
static unsigned
empty_directory(const char *path)
{
	DIR *list = opendir(path);
	struct dirent *e;
	unsigned count = 0;

	if (list == NULL)
		return 0;
	while ((e = readdir(list)) != NULL)
		count += unlinkat(dirfd(list), e->d_name, 0) == 0;
	closedir(list);
	return count;
}

void
subject_fini(struct subject *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		close(s->end);
	}
	s->pid = -1;
	empty_directory(s->memdir);
	rmdir(s->memdir);
	empty_directory(s->dir);
	rmdir(s->dir);
}

/* In the daemon's process. */

static void
note_descriptors(bool is_open[FDS_MOST])
{
	int fd;

	for (fd = 0; fd < FDS_MOST; fd++)
		is_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Says on standard error what is left; true when anything is. */
static bool
has_leaks(const struct subject *s, const bool was_open[FDS_MOST])
{
	bool is_open[FDS_MOST], leaks = false;
	int fd;

	note_descriptors(is_open);
	for (fd = 0; fd < FDS_MOST; fd++)
		if (is_open[fd] && !was_open[fd]) {
			fprintf(stderr, "descriptor %d was left open\n", fd);
			leaks = true;
		}
	if (faults_blocks_left() != 0 || faults_mappings_left() != 0) {
		fprintf(stderr, "left: %ld blocks of memory, %ld mappings\n", faults_blocks_left(),
		    faults_mappings_left());
		leaks = true;
	}
	if (!s->skips_lsan && __lsan_do_recoverable_leak_check != NULL &&
	    __lsan_do_recoverable_leak_check() != 0)
		leaks = true;
	return leaks;
}

static void __attribute__((noreturn)) run(struct subject *s, int fd)
{
	const struct options_program smdish = { .name = "smdishserver", .has_lease = true };
	const struct options_program smuf = { .name = "smufserver", .has_memdir = true };
	char segment[TEXT_SIZE], total[TEXT_SIZE], lease[TEXT_SIZE];
	char *args[ARGS_MOST] = { "server", "-s", segment, "-m", total, "-c", "16" };
	int count = 7, status, log = open(s->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	bool was_open[FDS_MOST];

	snprintf(segment, sizeof segment, "%d", SUBJECT_SEGMENT_MOST);
	snprintf(total, sizeof total, "%d", SUBJECT_TOTAL_MOST);
	snprintf(lease, sizeof lease, "%d", SUBJECT_LEASE_MS);
	if (s->is_smuf) {
		args[count++] = "-r";
		args[count++] = s->memdir;
	} else if (s->has_leases) {
		args[count++] = "-t";
		args[count++] = lease;
	}
	args[count] = s->socket;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDERR_FILENO);
	close(log);
	ready_fd = fd;
	/* Its page stays for the life of a process. */
	(void)forkmark_get();
	note_descriptors(was_open);
	faults_enter(s->faults);
	status = s->is_smuf ? main_run(&smuf, &smuf_store, count + 1, args) :
			      main_run(&smdish, &smdish_store, count + 1, args);
	if (s->at_end != NULL)
		s->at_end();
	if (has_leaks(s, was_open))
		status = SUBJECT_LEAKS;
	_exit(status);
}

/* In the test. */

bool
subject_await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, (int)patience_ms(SUBJECT_WAIT_MS));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static int
reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void
subject_start(struct subject *s, struct verdict *v)
{
	int ends[2];
	char byte;

	faults_reset(s->faults);
	if (pipe2(ends, O_CLOEXEC) != 0) {
		verdict_say(v, "pipe2: %s", strerror(errno));
		return;
	}
	s->pid = fork();
	if (s->pid == 0) {
		close(ends[0]);
		run(s, ends[1]);
	}
	close(ends[1]);
	s->end = ends[0];
	if (s->pid < 0 || !subject_await(s->end) || read(s->end, &byte, 1) != 1)
		verdict_say(v, "the daemon did not start");
}

static void
check_status(int status, struct verdict *v)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == SUBJECT_LEAKS)
		verdict_say(v, "the daemon left memory or descriptors: see its log");
	else if (status != 0)
		verdict_say(v, "expected the daemon to exit with 0, got wait status 0x%x",
		    (unsigned)status);
}

void
subject_stop(struct subject *s, struct verdict *v)
{
	unsigned left;

	if (s->pid < 0)
		return;
	kill(s->pid, SIGTERM);
	if (!subject_await(s->end)) {
		verdict_say(v, "the daemon was told to stop and still runs");
		kill(s->pid, SIGKILL);
	}
	check_status(reap(s->pid), v);
	s->pid = -1;
	close(s->end);
	left = empty_directory(s->memdir);
	if (left != 0)
		verdict_say(v, "the daemon left files in its memdir: %u", left);
	unlink(s->socket);
}

int
subject_dial(const struct subject *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	strlcpy(sun.sun_path, s->socket, sizeof sun.sun_path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

void
subject_show_log(const struct subject *s)
{
	char bytes[4096];
	ssize_t n;
	int fd = open(s->log, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0)
		if (fwrite(bytes, 1, (size_t)n, stderr) != (size_t)n)
			break;
	if (fd >= 0)
		close(fd);
}
