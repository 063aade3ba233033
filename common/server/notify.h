/*
 * notify: what systemd asks of a service: its sockets (LISTEN_FDS) and word of its state
 * (NOTIFY_SOCKET), spoken directly, sd_listen_fds(3) and sd_notify(3).
 */
#ifndef COMMON_SERVER_NOTIFY_H
#define COMMON_SERVER_NOTIFY_H

enum { NOTIFY_FIRST_FD = 3 }; /* of the sockets that were passed */

/* How many listening sockets systemd passed to this process; they become close-on-exec. 0: none. */
int notify_socket_count(void);

/* Sends state, "READY=1" say, if somebody asked for it. Returns 0 or a negative errno. */
int notify_send(const char *state);

#endif
