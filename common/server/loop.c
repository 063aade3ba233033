#include "common/server/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	YIELDS_MOST = 64, /* turns that yield first, in a row */
	YIELD_LONG_NS = 200000,
	LONG_REST_MS = 250,
};

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

static int
poll_once(struct loop *l, struct epoll_event *events)
{
	return epoll_wait(l->epoll_fd, events, LOOP_EVENTS_MOST, 0);
}

/*
 * Yields the processor. That takes long where a process computes on it, which keeps the rest of its
 * time slice: then the loop does not yield first for a while.
 */
static void
yield(struct loop *l)
{
	uint64_t begin = clock_now(), now;

	sched_yield();
	now = clock_now();
	if (now - begin > YIELD_LONG_NS) {
		l->yields_first = false;
		l->yield_from = clock_after_ms(now, LONG_REST_MS);
	}
}

/*
 * Before the loop sleeps it yields and polls again, then polls for the time of -b: a client on the
 * same core goes on to its next request meanwhile, which saves a sleep and a wake-up.
 */
static int
wait_longer(struct loop *l, struct epoll_event *events, uint64_t deadline)
{
	uint64_t now = clock_now(), until = now + l->spin_ns;
	int n;

	do {
		yield(l);
		n = poll_once(l, events);
		now = clock_now();
		l->yields_first = n > 0 && now >= l->yield_from;
		if (n != 0)
			return n;
	} while (now < until && now < deadline);
	return epoll_wait(l->epoll_fd, events, LOOP_EVENTS_MOST, clock_poll_timeout(now, deadline));
}

/*
 * epoll_wait(2). A client that yields instead of sleeping sends its next request only when the
 * server has yielded too: where that was so the server yields first, and saves a poll that finds
 * nothing. Now and then it polls first, to see whether that is still so.
 */
static int
wait_events(struct loop *l, struct epoll_event *events, uint64_t deadline)
{
	bool yields = l->yields_first && deadline != 0 && ++l->yields % YIELDS_MOST != 0;
	int n;

	if (yields)
		yield(l);
	n = poll_once(l, events);
	if (deadline == 0 || (n != 0 && yields))
		return n;
	l->yields_first = false;
	return n != 0 ? n : wait_longer(l, events, deadline);
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
