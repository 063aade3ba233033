/*
 * listener: the sockets a daemon listens on, from its command line and from systemd.
 */
#ifndef COMMON_SERVER_LISTENER_H
#define COMMON_SERVER_LISTENER_H

#include <stdbool.h>

struct connection_table;
struct listeners;
struct loop;
struct options;

/*
 * Listens on every address of o and on what systemd passed. What fails is logged. Returns 0; -EINVAL when
 * there is nothing to listen on or plaintext would go over TCP, or the negative errno of an address.
 */
int listener_open(struct listeners **out, const struct options *o);

/* Accepts into t from now on. Returns 0 or a negative errno. */
int listener_start(struct listeners *ls, struct loop *loop, struct connection_table *t);

/* Takes NULL. Stops accepting, closes, and removes the socket files it made. */
void listener_close(struct listeners *ls);

#endif
