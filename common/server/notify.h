/*
 * notify: the protocols of systemd, without its library: sockets that it passes (LISTEN_FDS, see
 * sd_listen_fds(3)), and the state of the service (NOTIFY_SOCKET, see sd_notify(3)).
 *
 * Both come from the environment, which the host sets. It can choose the sockets of the daemon in
 * any case, and it learns no more than that the daemon serves or stops.
 */
#ifndef COMMON_SERVER_NOTIFY_H
#define COMMON_SERVER_NOTIFY_H

enum { NOTIFY_FIRST_FD = 3 }; /* the first socket that was passed */

/* The number of sockets that systemd passed to this process; they become close-on-exec. */
int notify_socket_count(void);

/* Sends state, such as "READY=1", if NOTIFY_SOCKET is set. Returns 0 or a negative errno. */
int notify_send(const char *state);

#endif
