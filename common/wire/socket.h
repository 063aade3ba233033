/*
 * socket: listens and connects at an address (addr.h).
 *
 * Listening and connecting resolve names of hosts with the host's resolver, which may lie: a
 * certificate proves the peer's identity, never its address. A peer cannot pass descriptors to a
 * listening socket's connections where the kernel can forbid it (rights.h).
 */
#ifndef COMMON_WIRE_SOCKET_H
#define COMMON_WIRE_SOCKET_H

#include <stdint.h>
#include <sys/types.h>

#include "common/wire/addr.h"

enum {
	SOCKET_LISTEN_MOST = 8, /* sockets of one address (tcp:localhost:1 has two) */
	SOCKET_IDLE_MS = 12000  /* until keepalive has found an idle TCP peer gone */
};

/* Which users may connect to a socket file: those that its mode lets write. */
struct socket_access {
	mode_t mode; /* at most 0777 */
	gid_t group; /* -1: the one that the system gives to new files */
};

/* The socket file that was made for an address: only that one is removed again. */
struct socket_file {
	dev_t device;
	ino_t inode; /* 0: no file was made */
};

/*
 * Listens at an address: fills fds with close-on-exec, non-blocking sockets and returns their
 * number, and in *file what to remove later. A stale socket file, at which no process listens, is
 * replaced; of several servers that try at once one succeeds. Returns -EADDRINUSE when a process
 * listens there or the path is no socket, -ENXIO for a host without an address, -EADDRNOTAVAIL for
 * an address that is not this machine's, -EPERM when this process may not give a file to the group,
 * or another negative errno. A failure leaves nothing behind. The directory is locked meanwhile; if
 * another process keeps its lock for a second, the call goes on without.
 *
 * access is for socket files: from its first moment on the file has the mode, and it has the group
 * before any process can connect.
 */
int socket_listen(const struct addr *a, const struct socket_access *access,
    int fds[SOCKET_LISTEN_MOST], struct socket_file *file);

/*
 * Removes the socket file that socket_listen() made, if the path still leads to that file. Locks
 * the directory in the same way.
 */
void socket_unlink(const struct addr *a, const struct socket_file *file);

/*
 * Connects to an address, waiting until that time; tries every address of a TCP host in turn. *fd
 * is then non-blocking and close-on-exec, and not tuned. Returns 0, -ENOTCONN when no process
 * listens there, -ETIMEDOUT, -ENXIO for a host without an address, -EADDRNOTAVAIL when there is no
 * port or address to connect from, -EBADF when the program has closed the socket meanwhile
 * (ownfd.h), or another negative errno.
 */
int socket_connect(const struct addr *a, uint64_t until, int *fd);

/*
 * Sets TCP_NODELAY on a connected socket, TCP_USER_TIMEOUT to ms milliseconds, and keepalive: the
 * connection ends when the peer has acknowledged nothing for so long, an idle one not before
 * SOCKET_IDLE_MS. Does nothing to a unix one.
 */
void socket_tune(int fd, unsigned ms);

/*
 * How many of the bytes that were written to a TCP socket the kernel has not sent yet: when the
 * process is killed, they may be lost. Returns -ENOTTY, or another negative errno, for a unix
 * socket and in a library OS that cannot tell.
 */
int socket_count_unsent(int fd);

/*
 * The peer as far as its address tells, whatever process or port it uses: "uid 0" of a unix socket,
 * "host 192.0.2.1" of TCP, "host 2001:db8::/64" of IPv6, whose other 64 bits tell no peers apart.
 */
void socket_peer_key(int fd, char out[ADDR_TEXT_SIZE]);

/*
 * Closes a socket that is listening or was accepted, and on which descriptors may lie: by the
 * closer (closer.h), then. For daemons.
 */
void socket_close(int fd);

/* Describes a TCP socket's own address: "127.0.0.1:4711"; "unknown" if the system does not tell. */
void socket_describe_own(int fd, char out[ADDR_TEXT_SIZE]);

/* Describes the peer: "pid 12 uid 0" of a unix socket, "127.0.0.1:4711" of TCP. */
void socket_describe_peer(int fd, char out[ADDR_TEXT_SIZE]);

#endif
