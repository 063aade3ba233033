/*
 * loop: epoll(7), level-triggered, one thread. A watch is a descriptor and the function to call
 * when it is ready.
 *
 * loop_wait() collects what is ready and calls the ready functions, which only note it: they mark a
 * connection, or add a task to the schedule. No watch may be added, changed or removed by a ready
 * function. A watch is its owner's memory, in the loop from loop_add() to loop_remove().
 */
#ifndef COMMON_SERVER_LOOP_H
#define COMMON_SERVER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; EPOLLHUP and EPOLLERR come always */
	void (*ready)(struct watch *, uint32_t events);
};

struct loop {
	int epoll_fd;
	uint64_t spin_ns;    /* the time to poll before sleeping */
	bool yields_first;   /* clients on this processor send while the server yields */
	unsigned yields;     /* turns that have, so far */
	uint64_t yield_from; /* none before this time */
};

#define LOOP_CLOSED ((struct loop){ .epoll_fd = -1 })

/* spin_us: -b, how many microseconds to poll before sleeping. Returns 0 or a negative errno. */
int loop_init(struct loop *l, uint32_t spin_us);

/* Also for LOOP_CLOSED. */
void loop_fini(struct loop *l);

/* Watches w, of which the caller has set all fields. Returns 0 or a negative errno. */
int loop_add(struct loop *l, struct watch *w);

/* Watches w for these events from now on; costs nothing when they are the same as before. */
void loop_change(struct loop *l, struct watch *w, uint32_t events);

/* Stops watching w. To be called before w->fd is closed. */
void loop_remove(struct loop *l, struct watch *w);

/*
 * Waits until a watch is ready or until deadline (nanoseconds of the monotonic clock; 0: does not
 * wait; CLOCK_NEVER: for ever), and calls the ready functions of those that are, LOOP_EVENTS_MOST
 * at most; the kernel returns the others first the next time.
 */
void loop_wait(struct loop *l, uint64_t deadline);

enum { LOOP_EVENTS_MOST = 256 };

#endif
