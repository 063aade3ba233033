/*
 * watcher: runs a measurement in a world with servers, and cleans up after it.
 *
 * The calling process watches: it makes the world's certificates, starts the servers (TLS with
 * client certificates over unix sockets) and lets a child measure. It stops all of them and removes
 * the world's directory, in plain code and not in a signal handler, whatever happens: the
 * measurement fails or crashes, or SIGINT, SIGTERM, SIGHUP or SIGQUIT arrives. Only SIGKILL leaves
 * the directory behind; the children end even then.
 */
#ifndef BENCH_WATCHER_H
#define BENCH_WATCHER_H

#include "bench/world.h"

/*
 * Runs measure(world, arg) in a process of its own. Returns the exit status that measure returned,
 * or 1 after printing the failure. Ends this process by the signal that interrupted the
 * measurement.
 */
int watcher_run(int (*measure)(const struct world *, void *), void *arg);

#endif
