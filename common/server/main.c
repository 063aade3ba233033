#include "common/server/main.h"

#include <assert.h>
#include <bsd/libutil.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/size.h"
#include "common/crypto/tls.h"
#include "common/server/connection.h"
#include "common/server/core/server.h"
#include "common/server/core/store.h"
#include "common/server/listener.h"
#include "common/server/loop.h"
#include "common/server/notify.h"
#include "common/server/options.h"

enum {
	EXPIRY_WARNING_DAYS = 30,
	EXPIRY_CHECK_MS = 24 * 3600 * 1000,
	LARGE = 256 * SIZE_KIB, /* a buffer from here on is mapped, and unmapped when it is freed */
	OTHER_FDS = 64          /* besides one for each session */
};

struct daemon {
	const struct options_program *program;
	const struct store_ops *store;
	void *store_context;
	struct options options;
	struct loop loop;
	struct server *core;
	struct connection_table conns;
	struct listeners *listeners;
	struct pidfh *pid_file;
	struct watch signals;
	struct timer expiry_check;
	int parent_fd; /* -d: who started us waits for a byte there */
	bool stopping;
};

static int
open_log(struct daemon *d)
{
	const struct options *o = &d->options;
	int error = log_open(d->program->name, o->log_file,
	    o->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);

	if (error != 0)
		log_error("cannot open the log %s: %s", o->log_file, strerror(-error));
	return error;
}

/* No core dumps and no ptrace by others: the memory is other people's plaintext. Enough descriptors. */
static int
harden(struct daemon *d)
{
	struct rlimit none = { 0, 0 }, files;
	rlim_t needed = (rlim_t)d->options.config.session_limit + OTHER_FDS;

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGPIPE, SIG_IGN);
	/* Set, it stays: else the first large buffer that is freed would have all later ones come from the heap. */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
		return 0;
	if (files.rlim_max < needed)
		files.rlim_max = needed;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return 0;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	log_warning(
	    "only %lu descriptors are allowed, %lu are needed for %lu sessions (ulimit -n, -c)",
	    (unsigned long)files.rlim_cur, (unsigned long)needed,
	    (unsigned long)d->options.config.session_limit);
	return 0;
}

/* Warns of a certificate that ends soon, now and once a day. */
static void
check_expiry(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, expiry_check);
	int64_t left = tls_context_seconds_left(d->conns.tls);

	if (left < 0)
		log_error("the certificate %s has expired: clients will refuse it",
		    d->options.cert_file);
	else if (left < EXPIRY_WARNING_DAYS * INT64_C(86400))
		log_warning("the certificate %s expires in %ld days", d->options.cert_file,
		    (long)(left / 86400));
	timer_arm(&d->conns.timers, t, clock_after_ms(clock_now(), EXPIRY_CHECK_MS), check_expiry);
}

/* At start, and again on SIGHUP: those who are connected keep what they have. */
static int
load_keys(struct daemon *d)
{
	const struct options *o = &d->options;
	struct tls_config config = {
		.role = TLS_SERVER,
		.ca_file = o->ca_file,
		.cert_file = o->cert_file,
		.key_file = o->key_file,
		.anonymous_clients = o->anonymous,
	};
	char reason[TLS_REASON_SIZE];
	struct tls_context *tls;
	int error;

	if (o->ca_file == NULL)
		return 0;
	error = tls_context_create(&tls, &config, reason);
	if (error != 0) {
		log_error("%s", reason);
		return error;
	}
	tls_context_destroy(d->conns.tls);
	d->conns.tls = tls;
	if (o->anonymous)
		log_warning(
		    "-n: clients without a certificate are accepted: the host can be a client");
	check_expiry(&d->expiry_check);
	return 0;
}

/* The pid file is locked before the sockets are touched: it is what keeps a second server out. */
static int
lock_pid_file(struct daemon *d)
{
	const char *path = d->options.pid_file;
	pid_t other = 0;

	if (path == NULL)
		return 0;
	d->pid_file = pidfile_open(path, 0644, &other);
	if (d->pid_file != NULL)
		return 0;
	if (errno == EEXIST)
		log_error("%s: process %ld is running already", path, (long)other);
	else
		log_error("%s: %s", path, strerror(errno));
	return -EEXIST;
}

static void
signalled(struct watch *w, uint32_t events)
{
	struct daemon *d = container_of(w, struct daemon, signals);
	struct signalfd_siginfo info;
	int error;

	(void)events;
	if (read(w->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo != SIGHUP) {
		log_info("%s: stopping", strsignal((int)info.ssi_signo));
		d->stopping = true;
		return;
	}
	error = log_reopen();
	if (error != 0)
		log_error("cannot reopen the log %s: %s", d->options.log_file, strerror(-error));
	log_info("SIGHUP: %s",
	    load_keys(d) == 0 ? "certificates and log reloaded" :
				"the certificates are as they were");
}

/* From the very beginning: one that comes while we start is seen when we serve, and nothing is left behind. */
static sigset_t
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

static int
watch_signals(struct daemon *d)
{
	sigset_t set = block_signals();
	int fd;

	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	d->signals = (struct watch){ .fd = fd, .events = EPOLLIN, .ready = signalled };
	return loop_add(&d->loop, &d->signals);
}

/*
 * -d: the parent stays until the daemon serves or has given up, and exits with its status; whoever started it
 * finds sockets and pid file in place. Standard error stays until then, for what goes wrong.
 */
static int
go_to_background(struct daemon *d)
{
	uint8_t status = EXIT_FAILURE;
	int ends[2];
	pid_t pid;

	if (!d->options.daemonise)
		return 0;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ends[1]);
		/* End of file: it died without a word. */
		while (read(ends[0], &status, 1) < 0 && errno == EINTR)
			;
		_exit(status);
	}
	close(ends[0]);
	d->parent_fd = ends[1];
	setsid();
	return 0;
}

/* Everything is in place. The working directory stays: files may be named relative to it. */
static int
let_parent_go(struct daemon *d)
{
	uint8_t status = EXIT_SUCCESS;
	int null;

	if (!d->options.daemonise)
		return 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
	if (write(d->parent_fd, &status, 1) != 1)
		log_warning("whoever started this daemon did not wait for it");
	close(d->parent_fd);
	return 0;
}

static int
start_store(struct daemon *d)
{
	return d->store->start == NULL ? 0 : d->store->start(&d->store_context, d->options.memdir);
}

static int
start_serving(struct daemon *d)
{
	int error = server_create(&d->core, &d->options.config, d->store, d->store_context);

	if (error == 0)
		error = loop_init(&d->loop, d->options.spin_us);
	if (error != 0)
		return error;
	d->conns.core = d->core;
	d->conns.loop = &d->loop;
	d->conns.limit = d->options.config.session_limit;
	error = watch_signals(d);
	if (error == 0)
		error = listener_start(d->listeners, &d->loop, &d->conns);
	if (error == 0 && d->pid_file != NULL)
		error = pidfile_write(d->pid_file) == 0 ? 0 : -errno;
	return error;
}

/* Time is read once after each sleep; whoever needs it finds it in the core and in the table. */
static void
tell_time(struct daemon *d)
{
	d->conns.now = clock_now();
	server_set_time(d->core, d->conns.now);
}

/* How long nothing has to be done unless somebody asks. */
static uint64_t
next_deadline(struct daemon *d)
{
	uint64_t a = timer_next(&d->conns.timers), b = server_next_deadline(d->core);

	if (connection_has_more(&d->conns))
		return 0;
	return a < b ? a : b;
}

static void
serve(struct daemon *d)
{
	struct watch *w;
	uint32_t events;

	while (!d->stopping) {
		w = loop_wait(&d->loop, next_deadline(d), &events);
		tell_time(d);
		if (w != NULL)
			w->ready(w, events);
		timer_run(&d->conns.timers, d->conns.now);
		server_run_timers(d->core);
		connection_read_more(&d->conns);
		connection_flush_ready(&d->conns);
	}
}

static void
stop(struct daemon *d)
{
	notify_send("STOPPING=1");
	listener_close(d->listeners);
	connection_table_fini(&d->conns);
	server_destroy(d->core);
	if (d->store->stop != NULL)
		d->store->stop(d->store_context);
	tls_context_destroy(d->conns.tls);
	if (d->pid_file != NULL)
		pidfile_remove(d->pid_file);
}

int
main_run(const struct options_program *program, const struct store_ops *store, int argc,
    char **argv)
{
	static struct daemon d; /* holds the read buffer: too much for a stack */
	enum options_result parsed;
	int error;

	d.program = program;
	d.store = store;
	parsed = options_parse(&d.options, program, argc, argv);
	if (parsed != OPTIONS_RUN)
		return parsed == OPTIONS_EXIT ? EXIT_SUCCESS : 2;
	block_signals();
	tls_ignore_system_config();
	connection_table_init(&d.conns);
	if ((error = go_to_background(&d)) == 0 && (error = open_log(&d)) == 0 &&
	    (error = harden(&d)) == 0 && (error = load_keys(&d)) == 0 &&
	    (error = lock_pid_file(&d)) == 0 && (error = start_store(&d)) == 0 &&
	    (error = listener_open(&d.listeners, &d.options)) == 0 &&
	    (error = start_serving(&d)) == 0 && (error = let_parent_go(&d)) == 0) {
		notify_send("READY=1");
		serve(&d);
	} else {
		log_error("not started");
	}
	stop(&d);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
