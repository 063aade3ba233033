#include "common/server/main.h"

#include <bsd/libutil.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/size.h"
#include "common/base/standard.h"
#include "common/host/ground.h"
#include "common/server/background.h"
#include "common/server/connection.h"
#include "common/server/core/account.h"
#include "common/server/core/schedule.h"
#include "common/server/core/server.h"
#include "common/server/core/store.h"
#include "common/server/credentials.h"
#include "common/server/crlfile.h"
#include "common/server/listener.h"
#include "common/server/loop.h"
#include "common/server/notify.h"
#include "common/server/options.h"
#include "common/server/process.h"
#include "common/server/reload.h"
#include "common/server/signals.h"
#include "common/server/trim.h"
#include "common/server/watchdog.h"
#include "common/wire/inspect.h"
#include "common/wire/protocol.h"

/* A turn ends soon after TURN_NS; events are looked for every ROUND_NS. */
enum { TURN_NS = 1000 * 1000, ROUND_NS = 2 * TURN_NS };

/* Bytes of heap that a connection takes, about; a block of a segment, at least. */
enum { CONNECTION_MEMORY = 32 * 1024, BLOCK_MEMORY = sizeof(uint64_t) };

struct daemon {
	const struct options_program *program;
	const struct store_ops *store;
	void *store_context;
	struct options options;
	struct background background;
	struct credentials credentials;
	struct crlfile crlfile;
	struct reload reload;
	struct pidfh *pid_file;
	struct server *core;
	struct loop loop;
	struct signals signals;
	struct connection_table conns;
	struct trim trim;
	struct watchdog watchdog;
	struct listeners *listeners;
	struct timer keep; /* of the store; not armed for a store without keep() */
	bool is_evicted;   /* the store can serve no longer */
	bool has_log_file; /* lines of the log go to a file, and not to standard error */
};

/* The steps of starting, in the order of the table below. */

/* Standard error first, so that a failure has a name and a place. */
static int
open_log(struct daemon *d)
{
	const struct options *o = &d->options;
	const enum log_level most = o->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	int error = log_open(d->program->name, NULL, most);

	if (error == 0 && o->log_file != NULL)
		error = log_open(d->program->name, o->log_file, most);
	if (error != 0)
		return error_message(error, "-l: cannot open the log %s: %s", o->log_file,
		    strerror(-error));
	d->has_log_file = o->log_file != NULL;
	return 0;
}

static int
go_to_background(struct daemon *d)
{
	return d->options.daemonise ? background_enter(&d->background) : 0;
}

/* The limits of -m and -s: a segment that -m has no room for is refused with ENOSPC. */
static void
warn_of_limits(const struct server_config *c)
{
	if (c->total_limit < c->segment_limit)
		log_warning(
		    "-m allows %llu bytes in all, -s a segment of %llu: larger segments than -m are refused",
		    (unsigned long long)c->total_limit, (unsigned long long)c->segment_limit);
}

static int
prepare_process(struct daemon *d)
{
	process_harden();
	process_tune_malloc();
	warn_of_limits(&d->options.config);
	process_raise_file_limit(d->options.config.session_limit + PROTOCOL_HANDSHAKES_MOST);
	return 0;
}

static int
load_credentials(struct daemon *d)
{
	int error = crlfile_open(&d->crlfile, d->options.crl_file);

	if (error != 0)
		return error;
	d->credentials.revocations = d->crlfile.revocations;
	error = credentials_load(&d->credentials);
	d->conns.tls = d->credentials.tls;
	return error;
}

static int
load_revocations(struct daemon *d)
{
	return crlfile_load(&d->crlfile, d->credentials.tls);
}

/* The pid file is locked before the sockets are touched: it keeps a second server out. */
static int
lock_pid_file(struct daemon *d)
{
	const char *path = d->options.pid_file;
	pid_t other = 0;
	int error;

	if (path == NULL)
		return 0;
	/* pidfile_open() would leave an empty file behind. */
	if (!ground_has(GROUND_FLOCK))
		return ground_error(GROUND_FLOCK);
	d->pid_file = pidfile_open(path, 0644, &other);
	if (d->pid_file != NULL)
		return 0;
	error = errno;
	if (error == EEXIST)
		return error_message(-error, "-p: the pid file %s: process %ld is running already",
		    path, (long)other);
	return error_message(-error, "-p: cannot lock the pid file %s: %s", path, strerror(error));
}

static int
start_store(struct daemon *d)
{
	const struct options *o = &d->options;
	const char *const own[] = { o->log_file, o->pid_file };
	int error = 0;

	if (o->memdir == NULL && d->store->check_current != NULL)
		error = d->store->check_current(own, sizeof own / sizeof own[0]);
	if (error == 0 && d->store->start != NULL)
		error = d->store->start(&d->store_context, o->memdir != NULL ? o->memdir : ".");
	return error;
}

static int
listen_on_addresses(struct daemon *d)
{
	return listener_open(&d->listeners, &d->options);
}

/* An operator's request. */
static void
reload_asked(void *arg, const char *peer, struct inspect_reload *out)
{
	struct daemon *d = arg;

	reload_all(&d->reload, peer, out);
}

static int
create_server(struct daemon *d)
{
	int error = server_create(&d->core, &d->options.config, d->store, d->store_context);

	if (error != 0)
		return error;
	d->conns.core = d->core;
	server_set_reload(d->core, reload_asked, d);
	return 0;
}

static int
open_loop(struct daemon *d)
{
	d->conns.loop = &d->loop;
	d->conns.operators = d->options.operators;
	return loop_init(&d->loop, d->options.spin_us);
}

static int
watch_signals(struct daemon *d)
{
	return signals_open(&d->signals, &d->loop);
}

static int
accept_connections(struct daemon *d)
{
	return listener_start(d->listeners, &d->loop, &d->conns);
}

static int
write_pid_file(struct daemon *d)
{
	int error;

	if (d->pid_file == NULL || pidfile_write(d->pid_file) == 0)
		return 0;
	error = errno;
	return error_message(-error, "-p: cannot write the pid file %s: %s", d->options.pid_file,
	    strerror(error));
}

static void
keep_store(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, keep);

	d->is_evicted = d->store->keep(d->store_context, d->conns.now) != 0;
	timer_arm(&d->conns.timers, t, clock_after_ms(d->conns.now, STORE_KEEP_MS), keep_store);
}

static int
begin_keeping(struct daemon *d)
{
	if (d->store->keep != NULL)
		timer_arm(&d->conns.timers, &d->keep, 0, keep_store);
	return 0;
}

static int
begin_watchdog(struct daemon *d)
{
	watchdog_start(&d->watchdog);
	return 0;
}

static const struct step {
	const char *name; /* completes "cannot" in the log */
	int (*run)(struct daemon *d);
	const char *remedy; /* where the system lacks a call; NULL: none is known */
} steps[] = {
	{ "open the log", open_log, "leave -l out" },
	{ "go to the background", go_to_background, "leave -d out" },
	{ "prepare the process", prepare_process, NULL },
	{ "load the certificates", load_credentials, NULL },
	{ "load the revocation lists", load_revocations, NULL },
	{ "lock the pid file", lock_pid_file, "leave -p out" },
	{ "start the store", start_store, NULL },
	{ "listen", listen_on_addresses, "give an address tcp:HOST:PORT" },
	{ "create the server", create_server, NULL },
	{ "open the event loop", open_loop, NULL },
	{ "watch for signals", watch_signals, NULL },
	{ "accept connections", accept_connections, NULL },
	{ "keep the store", begin_keeping, NULL },
	{ "begin the watchdog", begin_watchdog, NULL },
	{ "write the pid file", write_pid_file, "leave -p out" },
};

/* Sets the message of a step that has failed, if the step has not. */
static void
describe_failure(const struct step *step, int error)
{
	const char *remedy = step->remedy != NULL ?
	    step->remedy :
	    "the server needs it; 'smbench --probe' lists what this system has";

	if (error == -ENOSYS)
		error_message(error, "cannot %s: this system lacks a call: %s", step->name, remedy);
	else if (!error_is_set())
		error_message(error, "cannot %s: %s", step->name, strerror(-error));
}

/* Once in the log, and once on the terminal when the log is a file. */
static void
tell_failure(const struct daemon *d)
{
	log_error("not started: %s", error_text());
	if (d->has_log_file)
		fprintf(stderr, "%s: not started: %s\n", d->program->name, error_text());
}

static int
start(struct daemon *d)
{
	size_t i;
	int error;

	for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		error_begin();
		error = steps[i].run(d);
		if (error != 0) {
			describe_failure(&steps[i], error);
			tell_failure(d);
			return error;
		}
	}
	/* Scripts wait for these: nothing may fail any more. */
	listener_announce(d->listeners);
	background_complete(&d->background);
	notify_send("READY=1");
	return 0;
}

/* Reads the clock, once after each sleep. The core and the connections use this time. */
static void
set_time(struct daemon *d)
{
	d->conns.now = clock_now();
	server_set_time(d->core, d->conns.now);
}

/* When the daemon has to act without an event. */
static uint64_t
next_deadline(struct daemon *d)
{
	uint64_t a = timer_next(&d->conns.timers), b = server_next_deadline(d->core);
	uint64_t c = signals_deadline(d->conns.now);

	if (!schedule_is_idle(server_schedule(d->core)))
		return 0;
	if (b < a)
		a = b;
	if (c < a)
		a = c;
	if (log_has_pending() && a > clock_after_ms(d->conns.now, LOG_RETRY_MS))
		a = clock_after_ms(d->conns.now, LOG_RETRY_MS);
	return a;
}

/* SIGHUP. */
static void
reload(struct daemon *d)
{
	struct inspect_reload unused;

	d->signals.reload = false;
	reload_all(&d->reload, "SIGHUP", &unused);
	set_time(d);
}

/* SIGUSR1. */
static void
reopen(struct daemon *d)
{
	d->signals.reopen = false;
	if (!d->has_log_file)
		log_info("SIGUSR1: nothing to reopen: there is no log file (-l)");
	else if (reload_log(&d->reload) == 0)
		log_info("SIGUSR1: log reopened");
}

/* Files have changed. */
static void
reload_changes(struct daemon *d)
{
	reload_changed(&d->reload);
	set_time(d);
}

/* Peers choose when their timers are due, so all may be at once: the rest waits for a round. */
static void
run_timers(struct daemon *d)
{
	const struct budget b = { .clock = clock_now, .until = d->conns.now + TURN_NS };

	timer_run(&d->conns.timers, d->conns.now, &b);
	server_run_timers(d->core, &b);
}

/*
 * Gives turns to what has work, one after the other, until nothing has, or until it is time to look
 * for events again: other peers may have become ready.
 */
static void
run_turns(struct daemon *d)
{
	uint64_t until = d->conns.now + ROUND_NS, begin;
	struct budget b = { .clock = clock_now };

	connection_schedule_ready(&d->conns);
	do {
		begin = d->conns.now;
		b.until = begin + TURN_NS;
		if (!schedule_run(server_schedule(d->core), &b))
			break;
		connection_schedule_ready(&d->conns);
		set_time(d);
		server_turn_took(d->core, d->conns.now - begin);
	} while (d->conns.now < until);
}

/*
 * The bytes of the heap that the peers use: those of their accounts, the state of TLS, and the
 * tables with the blocks of their segments.
 */
static uint64_t
heap_used(const struct daemon *d)
{
	const uint64_t *used = server_accounts(d->core)->used;

	return used[ACCOUNT_MEMORY] + (uint64_t)d->conns.count * CONNECTION_MEMORY +
	    used[ACCOUNT_SEGMENTS] / SIZE_BLOCK * BLOCK_MEMORY;
}

static void
serve(struct daemon *d)
{
	while (!d->signals.stop && !d->is_evicted) {
		loop_wait(&d->loop, next_deadline(d));
		set_time(d);
		if (d->signals.reload)
			reload(d);
		if (d->signals.reopen)
			reopen(d);
		run_timers(d);
		if (d->credentials.has_changed || d->crlfile.has_changed)
			reload_changes(d);
		run_turns(d);
		trim_note(&d->trim, heap_used(d), d->conns.now);
		if (log_has_pending())
			log_flush();
	}
}

/* Undoes the steps of starting, as far as they came. */
static void
stop(struct daemon *d)
{
	notify_try("STOPPING=1");
	timer_disarm(&d->conns.timers, &d->keep);
	listener_close(d->listeners);
	connection_table_fini(&d->conns);
	trim_fini(&d->trim);
	watchdog_fini(&d->watchdog);
	server_destroy(d->core);
	if (d->store->stop != NULL)
		d->store->stop(d->store_context);
	credentials_fini(&d->credentials);
	crlfile_close(&d->crlfile);
	signals_close(&d->signals);
	loop_fini(&d->loop);
	if (d->pid_file != NULL)
		pidfile_remove(d->pid_file);
	log_close();
}

int
main_run(const struct options_program *program, const struct store_ops *store, int argc,
    char **argv)
{
	static struct daemon d; /* static: its read buffer is too large for a stack */
	enum options_result parsed;
	int error;

	/* background_complete() would replace what had the number of a standard stream. */
	standard_hold();
	d.program = program;
	d.store = store;
	parsed = options_parse(&d.options, program, argc, argv);
	if (parsed != OPTIONS_RUN) {
		options_fini(&d.options);
		return parsed == OPTIONS_EXIT ? standard_finish(program->name, EXIT_SUCCESS) : 2;
	}
	signals_block();
	d.background = BACKGROUND_NONE;
	d.loop = LOOP_CLOSED;
	d.signals = SIGNALS_CLOSED;
	connection_table_init(&d.conns);
	trim_init(&d.trim, &d.conns.timers);
	watchdog_init(&d.watchdog, &d.conns.timers);
	credentials_init(&d.credentials, &d.options, &d.conns.timers);
	crlfile_init(&d.crlfile, &d.conns.timers);
	d.reload = (struct reload){ &d.credentials, &d.crlfile, &d.conns, d.options.log_file, "" };
	error = start(&d);
	if (error == 0)
		serve(&d);
	stop(&d);
	options_fini(&d.options);
	return error == 0 && !d.is_evicted ? EXIT_SUCCESS : EXIT_FAILURE;
}
