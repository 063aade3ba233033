/*
 * listener: the sockets that a daemon listens on, from its command line and from systemd.
 *
 * Plaintext goes over unix sockets only; TCP without -Z is refused. The daemon removes the socket
 * files that it created (with the group and mode of -g and -M) and no others: a file that another
 * server has put there since stays, as do sockets of systemd. Without a free descriptor a
 * connection is accepted with a spare one and closed; in the queue it would wake the loop again and
 * again. While accepting fails for another reason, or the spare one is gone as well, the listener
 * tries ten times a second.
 *
 * The host decides which processes can connect, certificates decide which ones are served.
 */
#ifndef COMMON_SERVER_LISTENER_H
#define COMMON_SERVER_LISTENER_H

#include <stdbool.h>

struct connection_table;
struct listeners;
struct loop;
struct options;

/*
 * Listens on every address of o and takes the sockets that systemd passed; o outlives the
 * listeners. Returns 0; -EINVAL when there is nothing to listen on, plaintext would go over TCP, or
 * there is no group of -g, or the negative errno of an address; with a message (error.h).
 */
int listener_open(struct listeners **out, const struct options *o);

/* Accepts into t from now on. Returns 0 or a negative errno. */
int listener_start(struct listeners *ls, struct loop *loop, struct connection_table *t);

/*
 * Logs each address and socket, with its protection; of tcp:HOST:0 each socket's address, with the
 * port that the system has chosen. Warns of a socket file that has not appeared.
 */
void listener_announce(const struct listeners *ls);

/* Stops accepting, closes the sockets, and removes the socket files it created. Takes NULL. */
void listener_close(struct listeners *ls);

#endif
