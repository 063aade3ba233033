#include "common/server/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/container.h"
#include "common/base/log.h"

static sigset_t
signal_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

void
signals_block(void)
{
	sigset_t set = signal_set();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct signals *s = container_of(w, struct signals, watch);
	struct signalfd_siginfo info;

	(void)events;
	if (read(w->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGHUP) {
		s->reload = true;
		return;
	}
	log_info("%s: stopping", strsignal((int)info.ssi_signo));
	s->stop = true;
}

int
signals_open(struct signals *s, struct loop *loop)
{
	sigset_t set = signal_set();
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	s->watch = (struct watch){ .fd = fd, .events = EPOLLIN, .ready = ready };
	return loop_add(loop, &s->watch);
}

void
signals_close(struct signals *s)
{
	if (s->watch.fd >= 0)
		close(s->watch.fd);
	*s = SIGNALS_CLOSED;
}
