/*
 * loop: epoll. A watch is a descriptor and what to call when it is ready; level-triggered, one thread.
 */
#ifndef COMMON_SERVER_LOOP_H
#define COMMON_SERVER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; EPOLLHUP and EPOLLERR come unasked */
	void (*ready)(struct watch *, uint32_t events);
};

struct loop {
	int epoll_fd;
	uint64_t spin_ns; /* how long to poll before sleeping */
};

#define LOOP_CLOSED ((struct loop){ .epoll_fd = -1 })

/* spin_us: -b, how many microseconds to poll before sleeping. Returns 0 or a negative errno. */
int loop_init(struct loop *l, uint32_t spin_us);

/* Also for LOOP_CLOSED. */
void loop_fini(struct loop *l);

/* w->fd, w->events and w->ready are set. Returns 0 or a negative errno. */
int loop_add(struct loop *l, struct watch *w);

/* Watches for other events from now on; cheap when they are the same. */
void loop_change(struct loop *l, struct watch *w, uint32_t events);

/* Before w->fd is closed. */
void loop_remove(struct loop *l, struct watch *w);

/*
 * Waits until something is ready or deadline (of the monotonic clock, CLOCK_NEVER: for ever). Returns the
 * watch, whose ready function is then to be called with *events, or NULL.
 */
struct watch *loop_wait(struct loop *l, uint64_t deadline, uint32_t *events);

#endif
