#include "common/server/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"

int
loop_init(struct loop *l, uint32_t spin_us)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	*l = (struct loop){ .epoll_fd = fd, .spin_ns = (uint64_t)spin_us * 1000 };
	return 0;
}

void
loop_fini(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	*l = LOOP_CLOSED;
}

int
loop_add(struct loop *l, struct watch *w)
{
	struct epoll_event e = { .events = w->events, .data.ptr = w };

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0 ? 0 : -errno;
}

/*
 * The kernel reports EPOLLHUP and EPOLLERR always: of a watch without events only once, as an edge,
 * so that they do not wake the loop again and again.
 */
void
loop_change(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events != 0 ? events : EPOLLET, .data.ptr = w };
	int result;

	if (w->events == events)
		return;
	w->events = events;
	result = epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
	assert(result == 0);
}

void
loop_remove(struct loop *l, struct watch *w)
{
	int result = epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);

	assert(result == 0);
}

/*
 * epoll_wait(2). Before it sleeps it yields the processor and polls again: a client on the same
 * core that was preempted by its own one-way RELEASE continues to its next request meanwhile, which
 * saves the sleep and the wake-up. Then it polls for the time of -b.
 */
static int
wait_events(struct loop *l, struct epoll_event *events, uint64_t deadline)
{
	int n = epoll_wait(l->epoll_fd, events, LOOP_EVENTS_MOST, 0);
	uint64_t now, until;

	if (n != 0 || deadline == 0)
		return n;
	sched_yield();
	now = clock_now();
	until = now + l->spin_ns;
	do {
		n = epoll_wait(l->epoll_fd, events, LOOP_EVENTS_MOST, 0);
		if (n != 0)
			return n;
		if (l->spin_ns > 0) {
			sched_yield();
			now = clock_now();
		}
	} while (now < until && now < deadline);
	return epoll_wait(l->epoll_fd, events, LOOP_EVENTS_MOST, clock_poll_timeout(now, deadline));
}

void
loop_wait(struct loop *l, uint64_t deadline)
{
	struct epoll_event events[LOOP_EVENTS_MOST];
	int n = wait_events(l, events, deadline), i;
	struct watch *w;

	for (i = 0; i < n; i++) {
		w = events[i].data.ptr;
		w->ready(w, events[i].events);
	}
}
