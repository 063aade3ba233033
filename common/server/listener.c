#include "common/server/listener.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/loglimit.h"
#include "common/base/rights.h"
#include "common/base/timer.h"
#include "common/server/connection.h"
#include "common/server/core/schedule.h"
#include "common/server/core/server.h"
#include "common/server/loop.h"
#include "common/server/notify.h"
#include "common/server/options.h"
#include "common/wire/socket.h"

enum { ACCEPTS_AT_ONCE = 16, PAUSE_MS = 100 };

struct listener {
	struct watch watch;
	struct task task;
	struct timer pause; /* armed while the socket is not watched */
	struct listeners *owner;
	int address; /* its number, of the options; -1: a socket of systemd */
};

struct listeners {
	struct loop *loop; /* once started */
	struct connection_table *conns;
	struct schedule *schedule;
	struct loglimit refusals; /* lines of the log about connections that cannot be accepted */
	struct schedule_queue queue; /* accepting has turns beside the handshakes of each peer */
	int spare_fd; /* closed for a moment to refuse a connection when no descriptor is left */
	const struct options *options;
	int opened;                                     /* of the addresses of the options */
	struct socket_file files[OPTIONS_ADDRESS_MOST]; /* of these */
	int count;
	struct listener list[];
};

static void
add(struct listeners *ls, int fd, int address)
{
	struct listener *l = &ls->list[ls->count++];

	l->owner = ls;
	l->address = address;
	l->watch = (struct watch){ .fd = fd, .events = EPOLLIN };
}

static const char *
protection(const struct options *o)
{
	if (o->ca_file == NULL)
		return "PLAINTEXT: the host reads and changes everything";
	return o->anonymous ? "TLS, clients without a certificate accepted" :
			      "TLS, client certificates required";
}

/* True when the path leads to the socket file that was made for an earlier address. */
static bool
is_own_file(const char *path, const struct socket_file *f)
{
	struct stat st;

	return f->inode != 0 && stat(path, &st) == 0 && st.st_dev == f->device &&
	    st.st_ino == f->inode;
}

/* True when two addresses of one kind cannot both have sockets; of TCP, when they may not. */
static bool
are_twins(const struct addr *a, const struct addr *b, const struct socket_file *file_of_b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ADDR_UNIX)
		return is_own_file(a->name, file_of_b);
	return a->kind == ADDR_TCP ? strcmp(a->port, b->port) == 0 : strcmp(a->name, b->name) == 0;
}

/* The place of an address is taken: the first of those before it that can have it; NULL: none. */
static const struct addr *
find_twin(const struct listeners *ls, const struct addr *a)
{
	const struct addr *all = ls->options->addresses;
	int i;

	for (i = 0; i < ls->opened; i++)
		if (are_twins(a, &all[i], &ls->files[i]))
			return &all[i];
	return NULL;
}

/* Explains an error of socket_listen() for an address: its cause, and what to do. */
static const char *
reason(const struct options *o, const struct addr *a, int error)
{
	const bool is_path = a->kind == ADDR_UNIX;
	struct stat st;

	if (error == -EPERM && is_path && o->socket_group != NULL)
		return "only root, or a member of the group, may give the socket to it (-g)";

	if (error == -ENXIO)
		return "the host's name has no address: is it right?";
	if (error == -EADDRNOTAVAIL)
		return "the host is not this machine: give one of its addresses, or tcp:*:PORT";
	if (error == -EADDRINUSE && is_path && lstat(a->name, &st) == 0 && !S_ISSOCK(st.st_mode))
		return "a file that is no socket is there: move it away, or give another path";
	if (error == -EADDRINUSE)
		return "the address is in use: stop the process that listens there, or give another";
	if (error == -EACCES && a->kind == ADDR_TCP)
		return "only root may use this port: give one from 1024 on";
	if (error == -ENOENT && is_path)
		return "No such file or directory: make the directory first";
	return strerror(-error);
}

/* Finds the group of -g: by its name, or else its number. */
static int
find_group(const char *text, gid_t *out)
{
	const struct group *g = getgrnam(text);
	const char *wrong = NULL;
	long long number;

	if (g != NULL) {
		*out = g->gr_gid;
		return 0;
	}
	number = strtonum(text, 0, UINT32_MAX - 1, &wrong);
	if (wrong != NULL)
		return error_message(-EINVAL, "-g: there is no group %s", text);
	*out = (gid_t)number;
	return 0;
}

static int
find_access(const struct options *o, struct socket_access *out)
{
	*out = (struct socket_access){ .mode = o->socket_mode, .group = (gid_t)-1 };
	return o->socket_group == NULL ? 0 : find_group(o->socket_group, &out->group);
}

/* Puts the failure to listen at an address into words. Returns error. */
static int
fail(const struct listeners *ls, const struct addr *a, int error)
{
	const struct addr *twin = error == -EADDRINUSE ? find_twin(ls, a) : NULL;
	/* Names of hosts may be one address, and "" is every one. */
	bool is_certain = twin != NULL &&
	    (*a->host == '\0' || *twin->host == '\0' || strcmp(a->host, twin->host) == 0);

	if (twin == NULL)
		return error_message(error, "cannot listen on %s: %s", a->text,
		    reason(ls->options, a, error));
	return error_message(error,
	    "cannot listen on %s: the %s is given twice, before as %s: leave one out%s", a->text,
	    is_certain ? "address" : "port", twin->text,
	    is_certain ? "" : ", or stop the process that listens there");
}

static int
open_addresses(struct listeners *ls, const struct options *o)
{
	int fds[SOCKET_LISTEN_MOST], count, i;
	struct socket_access access;

	if (find_access(o, &access) != 0)
		return -EINVAL;

	for (; ls->opened < o->address_count; ls->opened++) {
		const struct addr *a = &o->addresses[ls->opened];

		count = socket_listen(a, &access, fds, &ls->files[ls->opened]);
		if (count < 0)
			return fail(ls, a, count);
		for (i = 0; i < count; i++)
			add(ls, fds[i], ls->opened);
	}
	return 0;
}

/* Adds a socket of systemd. Its address was systemd's to choose; its kind is checked. */
static int
add_passed_socket(struct listeners *ls, const struct options *o, int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t size = sizeof sa;
	int listening = 0, type = 0;
	socklen_t size_of_int = sizeof listening;

	if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size_of_int) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size_of_int) != 0 || !listening ||
	    type != SOCK_STREAM)
		return error_message(-EINVAL,
		    "socket %d of systemd is not a listening stream socket", fd);
	if (sa.ss_family != AF_UNIX && o->ca_file == NULL)
		return error_message(-EINVAL,
		    "socket %d of systemd: plaintext over TCP is refused: give -Z CA CERT KEY", fd);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	rights_refuse(fd);
	add(ls, fd, -1);
	return 0;
}

int
listener_open(struct listeners **out, const struct options *o)
{
	int passed = notify_socket_count(), i, error;
	size_t most = (size_t)passed + (size_t)o->address_count * SOCKET_LISTEN_MOST;
	struct listeners *ls = calloc(1, sizeof *ls + most * sizeof ls->list[0]);

	if (ls == NULL)
		return -ENOMEM;
	ls->options = o;
	ls->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	error = open_addresses(ls, o);
	for (i = 0; error == 0 && i < passed; i++)
		error = add_passed_socket(ls, o, NOTIFY_FIRST_FD + i);
	if (error == 0 && ls->count == 0)
		error = error_message(-EINVAL, "no address to listen on: systemd passed no socket");
	if (error != 0) {
		listener_close(ls);
		return error;
	}
	*out = ls;
	return 0;
}

/*
 * No descriptor is left: accepts a connection with the spare one, and closes it. Returns 0, or why
 * even that failed: another process, or the closer, had the spare one's place.
 */
static int
refuse_connection(struct listeners *ls, int fd)
{
	uint32_t withheld;
	int peer, error;

	if (loglimit_may(&ls->refusals, ls->conns->now, &withheld))
		log_error(
		    "a connection was refused: no descriptors left (ulimit -n); %lu more since "
		    "the line before",
		    (unsigned long)withheld);
	close(ls->spare_fd);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	error = peer < 0 ? errno : 0;
	if (peer >= 0)
		socket_close(peer);
	ls->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return error;
}

static void
pause_is_over(struct timer *timer)
{
	struct listener *l = container_of(timer, struct listener, pause);

	loop_change(l->owner->loop, &l->watch, EPOLLIN);
}

/* Accepting fails, perhaps for long: looks again later, instead of at every turn of the loop. */
static void
pause_accepting(struct listener *l, int error)
{
	struct connection_table *t = l->owner->conns;
	uint32_t withheld;

	if (loglimit_may(&l->owner->refusals, t->now, &withheld))
		log_error(
		    "no connection can be accepted: %s; trying again after %d ms; %lu more since "
		    "the line before",
		    strerror(error), PAUSE_MS, (unsigned long)withheld);
	loop_change(l->owner->loop, &l->watch, 0);
	timer_arm(&t->timers, &l->pause, clock_after_ms(t->now, PAUSE_MS), pause_is_over);
}

/* Accepts some connections; with more to accept the loop wakes again. */
static void
run(struct task *task, const struct budget *b)
{
	struct listener *l = container_of(task, struct listener, task);
	int i, fd, error;

	for (i = 0; i < ACCEPTS_AT_ONCE && !budget_is_spent(b); i++) {
		fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		error = fd < 0 ? errno : 0;
		if (error == EMFILE || error == ENFILE)
			error = refuse_connection(l->owner, l->watch.fd);
		else if (error == 0)
			connection_accept(l->owner->conns, fd);
		if (error == 0 || error == ECONNABORTED || error == EINTR)
			continue;
		if (error != EAGAIN)
			pause_accepting(l, error);
		break;
	}
}

static void
ready(struct watch *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);

	(void)events;
	schedule_add(l->owner->schedule, &l->owner->queue, &l->task);
}

int
listener_start(struct listeners *ls, struct loop *loop, struct connection_table *t)
{
	int i, error = 0;

	ls->conns = t;
	ls->schedule = server_schedule(t->core);
	schedule_queue_init(&ls->queue, SCHEDULE_NEWCOMERS);
	for (i = 0; i < ls->count && error == 0; i++) {
		ls->list[i].watch.ready = ready;
		ls->list[i].task.run = run;
		error = loop_add(loop, &ls->list[i].watch);
	}
	if (error == 0)
		ls->loop = loop;
	return error;
}

/* Each socket of an address has a line, as each has a port of its own. */
static void
announce_chosen_ports(const struct listeners *ls, int address)
{
	char own[ADDR_TEXT_SIZE];
	int i;

	for (i = 0; i < ls->count; i++) {
		if (ls->list[i].address != address)
			continue;
		socket_describe_own(ls->list[i].watch.fd, own);
		log_info("listening on tcp:%s (%s)", own, protection(ls->options));
	}
}

void
listener_announce(const struct listeners *ls)
{
	const struct options *o = ls->options;
	int i;

	for (i = 0; i < ls->opened; i++) {
		const struct addr *a = &o->addresses[i];

		if (a->kind == ADDR_TCP && strtol(a->port, NULL, 10) == 0)
			announce_chosen_ports(ls, i);
		else
			log_info("listening on %s (%s)", a->text, protection(o));
		if (a->kind == ADDR_UNIX && ls->files[i].inode == 0)
			log_warning(
			    "%s has not appeared: in a library OS, processes outside "
			    "cannot connect to it: give an address tcp:HOST:PORT",
			    a->text);
	}
	for (i = 0; i < ls->count; i++)
		if (ls->list[i].address < 0)
			log_info("listening on socket %d of systemd (%s)", ls->list[i].watch.fd,
			    protection(o));
}

void
listener_close(struct listeners *ls)
{
	int i;

	if (ls == NULL)
		return;
	for (i = 0; i < ls->count; i++) {
		if (ls->loop != NULL) {
			schedule_remove(ls->schedule, &ls->list[i].task);
			timer_disarm(&ls->conns->timers, &ls->list[i].pause);
			loop_remove(ls->loop, &ls->list[i].watch);
		}
		socket_close(ls->list[i].watch.fd);
	}
	while (ls->opened-- > 0)
		socket_unlink(&ls->options->addresses[ls->opened], &ls->files[ls->opened]);
	close(ls->spare_fd);
	free(ls);
}
