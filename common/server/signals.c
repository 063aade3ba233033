#include "common/server/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/log.h"
#include "common/host/ground.h"

enum { LOOK_MS = 1000 };

static const int watched[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1 };

/* Written by the handler. */
static volatile sig_atomic_t has_hangup, has_usr1;
static volatile sig_atomic_t stopped_by; /* the signal's number; 0: none */

static int wake_fd = -1;

static sigset_t
signal_set(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof watched / sizeof watched[0]; i++)
		sigaddset(&set, watched[i]);
	return set;
}

void
signals_block(void)
{
	sigset_t set = signal_set();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
note(int number)
{
	const int error = errno;

	if (number == SIGHUP)
		has_hangup = 1;
	else if (number == SIGUSR1)
		has_usr1 = 1;
	else
		stopped_by = number;
	(void)eventfd_write(wake_fd, 1);
	errno = error;
}

static void
ready(struct watch *w, uint32_t events)
{
	struct signals *s = container_of(w, struct signals, watch);
	eventfd_t count;

	(void)events;
	/* Before the flags: a signal that comes in between wakes the loop once more. */
	(void)eventfd_read(w->fd, &count);
	if (has_hangup) {
		has_hangup = 0;
		s->reload = true;
	}
	if (has_usr1) {
		has_usr1 = 0;
		s->reopen = true;
	}
	if (stopped_by != 0 && !s->stop) {
		log_info("%s: stopping", strsignal(stopped_by));
		s->stop = true;
	}
}

/* Calls of the daemon that a signal interrupts go on, where the system lets them (SA_RESTART). */
static void
handle_signals(void)
{
	struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };
	size_t i;

	action.sa_mask = signal_set();
	for (i = 0; i < sizeof watched / sizeof watched[0]; i++)
		sigaction(watched[i], &action, NULL);
	sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);
}

int
signals_open(struct signals *s, struct loop *loop)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	s->watch = (struct watch){ .fd = fd, .events = EPOLLIN, .ready = ready };
	error = loop_add(loop, &s->watch);
	if (error != 0)
		return error;
	wake_fd = fd;
	handle_signals();
	return 0;
}

uint64_t
signals_deadline(uint64_t now)
{
	return ground_has(GROUND_SIGNALFD) ? CLOCK_NEVER : clock_after_ms(now, LOOK_MS);
}

void
signals_close(struct signals *s)
{
	signals_block();
	wake_fd = -1;
	if (s->watch.fd >= 0)
		close(s->watch.fd);
	*s = SIGNALS_CLOSED;
}
