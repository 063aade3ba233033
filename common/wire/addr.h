/*
 * addr: where a server listens and a client connects: unix, abstract and TCP addresses as text.
 *
 *	/path, unix:PATH	a unix socket; with ADDR_ABSTRACT a plain path is an abstract name,
 *				zero-padded to the whole of sun_path, as Phoenix binds and connects
 *	abstract:NAME		an abstract unix socket of exactly that name
 *	pipe:NUMBER		Phoenix's: the padded abstract name /graphene/123456/%08x
 *	tcp:HOST:PORT		also tcp://HOST:PORT; an IPv6 HOST in brackets; * or nothing: every address
 *
 * Names of hosts are resolved when listening or connecting, by the host's resolver, which may lie:
 * certificates decide who the peer is, never its address.
 */
#ifndef COMMON_WIRE_ADDR_H
#define COMMON_WIRE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

enum addr_kind { ADDR_UNIX, ADDR_ABSTRACT_EXACT, ADDR_ABSTRACT_PADDED, ADDR_TCP };

enum addr_flag { ADDR_ABSTRACT = 1 }; /* a plain path names a padded abstract socket (-a) */

enum { ADDR_TEXT_SIZE = 320, ADDR_HOST_SIZE = 256, ADDR_PORT_SIZE = 32 };

struct addr {
	enum addr_kind kind;
	char name[sizeof((struct sockaddr_un *)0)->sun_path + 1]; /* path or abstract name */
	char host[ADDR_HOST_SIZE];                                /* tcp; "" for every address */
	char port[ADDR_PORT_SIZE];
	char text[ADDR_TEXT_SIZE]; /* as it was given, for messages */
};

/* Returns 0; -EINVAL for what is no address; -ENAMETOOLONG for a path that no socket can have. */
int addr_parse(struct addr *out, const char *text, int flags);

enum { ADDR_LISTEN_MOST = 8 }; /* sockets that one address can become (tcp:localhost:1 has two) */

/* The socket file that was made for an address: only that one is removed again. */
struct addr_file {
	dev_t device;
	ino_t inode; /* 0: no file was made */
};

/*
 * Listens there: close-on-exec, non-blocking sockets in fds, their number as the result, and in *file what
 * to remove later. A unix socket gets mode 0660; a stale socket file, where nobody answers, is replaced; of several
 * servers that try at once one succeeds. Returns -EADDRINUSE when somebody answers there or the path is no
 * socket, -EADDRNOTAVAIL for a host that is not this one's or has no address, or another negative errno. Nothing is
 * left behind on failure.
 */
int addr_listen(const struct addr *a, int fds[ADDR_LISTEN_MOST], struct addr_file *file);

/* Removes the socket file that addr_listen() made, if it is still there and not somebody else's. */
void addr_unlink(const struct addr *a, const struct addr_file *file);

/*
 * Connects, waiting up to timeout_ms; every address of a TCP host is tried in turn. *fd is then
 * non-blocking and close-on-exec, TCP without delay (TCP_NODELAY) and with keepalive. Returns 0,
 * -ENOTCONN when nobody listens there, -ETIMEDOUT, -EADDRNOTAVAIL for a host without an address, or
 * another negative errno.
 */
int addr_connect(const struct addr *a, int timeout_ms, int *fd);

/* Sets TCP_NODELAY and keepalive on a connected socket; nothing on a unix one. */
void addr_tune(int fd);

/* Who is at the other end: "pid 12 uid 0" for a unix socket, "127.0.0.1:4711" for TCP. */
void addr_describe_peer(int fd, char out[ADDR_TEXT_SIZE]);

#endif
