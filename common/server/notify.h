/*
 * notify: the protocols of systemd, without its library: sockets that it passes (LISTEN_FDS, see
 * sd_listen_fds(3)), the state of the service (NOTIFY_SOCKET, see sd_notify(3)), and how long the
 * service may be silent (WATCHDOG_USEC, see sd_watchdog_enabled(3)).
 *
 * All come from the environment, which the host sets. It can choose the sockets of the daemon in
 * any case, and it learns no more than that the daemon serves, turns or stops.
 */
#ifndef COMMON_SERVER_NOTIFY_H
#define COMMON_SERVER_NOTIFY_H

#include <stdint.h>

enum { NOTIFY_FIRST_FD = 3 }; /* the first socket that was passed */

/* The number of sockets that systemd passed to this process; they become close-on-exec. */
int notify_socket_count(void);

/*
 * Sends state, such as "READY=1", if NOTIFY_SOCKET is set; waits for room in systemd's queue.
 * Returns 0 or a negative errno.
 */
int notify_send(const char *state);

/* The same, but does not wait: -EAGAIN without room. */
int notify_try(const char *state);

/*
 * The microseconds within which systemd wants a message of this process again and again, 0 when it
 * does not; nanoseconds of them fit, too.
 */
uint64_t notify_watchdog_us(void);

#endif
