/* smstat: shows the memory files of servers to their operators; smstat(1). */
#include <bsd/string.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/standard.h"
#include "common/crypto/tls_context.h"
#include "deploy/smstat/command.h"
#include "deploy/smstat/json.h"
#include "deploy/smstat/metrics.h"
#include "deploy/smstat/observer.h"
#include "deploy/smstat/tabular.h"

#define NAME "smstat"

enum { STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* The servers, and what is known of each of them. */
struct view {
	const struct command *command;
	struct servers servers;
	struct observer *observers; /* servers.count */
};

static int
report(int error)
{
	error_finish(error);
	(void)fprintf(stderr, NAME ": %s\n", error_text());
	return error;
}

static int
open_view(struct view *v)
{
	const struct command *c = v->command;
	size_t i;
	int error;

	error_begin();
	error = c->is_address ? servers_set(&v->servers, &c->address, &c->keys) :
				servers_load(&v->servers, c->place, c->point);
	if (error != 0)
		return report(error);
	v->observers = calloc(v->servers.count, sizeof *v->observers);
	if (v->observers == NULL)
		return report(-ENOMEM);
	for (i = 0; i < v->servers.count; i++)
		observer_init(&v->observers[i], &v->servers.at[i]);
	return 0;
}

static void
close_view(struct view *v)
{
	size_t i;

	for (i = 0; v->observers != NULL && i < v->servers.count; i++)
		observer_fini(&v->observers[i]);
	free(v->observers);
	servers_fini(&v->servers);
}

/* Looks at each server. Returns the number of looks that succeeded. */
static size_t
look(struct view *v)
{
	size_t i, count = 0;

	for (i = 0; i < v->servers.count; i++)
		if (observer_look(&v->observers[i]) == 0)
			count++;
	return count;
}

/* Looks once more at the servers that answered. */
static void
look_again(struct view *v)
{
	size_t i;

	for (i = 0; i < v->servers.count; i++)
		if (v->observers[i].now != NULL)
			(void)observer_look(&v->observers[i]);
}

static void
wait_interval(const struct view *v)
{
	(void)poll(NULL, 0, (int)v->command->interval * 1000);
}

/* The part of the terminal that each server gets; no limits where there is no terminal. */
static struct tabular_room
measure(const struct view *v)
{
	struct tabular_room room = { .rows = 0 };
	struct winsize size;

	if (!v->command->is_watching || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
	    size.ws_row == 0)
		return room;
	room.columns = size.ws_col;
	/* The cursor stands in the last row; a blank one is between two servers. */
	room.rows = (size_t)size.ws_row / v->servers.count;
	room.rows = room.rows > TABULAR_ROWS_LEAST ? room.rows - 1 : TABULAR_ROWS_LEAST;
	return room;
}

static int
print_tables(const struct view *v)
{
	struct tabular_room room = measure(v);
	int error = 0;
	size_t i;

	if (room.rows != 0)
		(void)fputs("\033[H\033[2J", stdout);
	for (i = 0; error == 0 && i < v->servers.count; i++) {
		if (i > 0)
			(void)fputc('\n', stdout);
		/* Where the output stays, a failure is told on standard error alone. */
		if (v->observers[i].now != NULL || room.rows != 0)
			error = tabular_print(stdout, &v->observers[i], room);
	}
	return error;
}

/* Prints what is known. Returns 0 or a negative errno, told. */
static int
print(const struct view *v)
{
	int error = 0;

	if (v->command->format == COMMAND_JSON)
		json_print(stdout, v->observers, v->servers.count);
	else if (v->command->format == COMMAND_METRICS)
		error = metrics_print(stdout, v->observers, v->servers.count);
	else
		error = print_tables(v);
	if (error == 0)
		error = standard_flush();
	return error == 0 ? 0 : report(error);
}

/* Says why servers did not answer. Returns the exit status. */
static int
tell_failures(const struct view *v)
{
	int status = EXIT_SUCCESS;
	size_t i;

	for (i = 0; i < v->servers.count; i++)
		if (v->observers[i].now == NULL) {
			(void)fprintf(stderr, NAME ": %s\n", v->observers[i].failure);
			status = STATUS_FAILED;
		}
	return status;
}

/* Shows the servers once. Returns the exit status. */
static int
show(struct view *v)
{
	const struct command *c = v->command;

	if (look(v) > 0 && c->interval > 0 && c->format != COMMAND_METRICS) {
		wait_interval(v);
		look_again(v);
	}
	error_begin();
	if (print(v) != 0)
		return STATUS_FAILED;
	return tell_failures(v);
}

/* Makes each server load its files again. Returns the exit status. */
static int
reload(struct view *v)
{
	char told[OBSERVER_FAILURE_SIZE];
	int status = EXIT_SUCCESS;
	bool is_done;
	size_t i;

	for (i = 0; i < v->servers.count; i++) {
		if (observer_reload(&v->observers[i], told, &is_done) != 0) {
			(void)fprintf(stderr, NAME ": %s\n", v->observers[i].failure);
			status = STATUS_FAILED;
			continue;
		}
		(void)fprintf(is_done ? stdout : stderr, "%s: %s\n",
		    v->servers.at[i].target.addr->text, told);
		if (!is_done)
			status = STATUS_FAILED;
	}
	return status;
}

/* Adds to the failures, which people read, when the servers are asked again. */
static void
tell_next_look(const struct view *v)
{
	char next[64];
	size_t i;

	if (v->command->format != COMMAND_TABLE)
		return;
	(void)snprintf(next, sizeof next, "; asking again every %u s", v->command->interval);
	for (i = 0; i < v->servers.count; i++)
		if (v->observers[i].now == NULL)
			(void)strlcat(v->observers[i].failure, next,
			    sizeof v->observers[i].failure);
}

/* Shows the servers until a signal ends the program. Returns the exit status after a failure. */
static int
watch(struct view *v)
{
	bool is_first = true;

	for (;; is_first = false) {
		if (look(v) == 0 && is_first)
			return tell_failures(v);
		tell_next_look(v);
		error_begin();
		if (print(v) != 0)
			return STATUS_FAILED;
		if (measure(v).rows == 0)
			(void)tell_failures(v);
		wait_interval(v);
	}
}

int
main(int argc, char **argv)
{
	struct command command;
	enum command_result parsed;
	struct view v = { .command = &command };
	int status = STATUS_FAILED;

	standard_hold();
	parsed = command_parse(&command, argc, argv);
	if (parsed != COMMAND_RUN)
		return parsed == COMMAND_EXIT ? standard_finish(NAME, EXIT_SUCCESS) : STATUS_USAGE;
	tls_context_ignore_system_config();
	if (open_view(&v) == 0)
		status = command.is_reload ? standard_finish(NAME, reload(&v)) :
		    command.is_watching    ? watch(&v) :
					     show(&v);
	close_view(&v);
	return status;
}
