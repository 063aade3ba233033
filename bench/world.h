/*
 * world: a mount of each kind of memory files, of our own, for as long as something is measured: keys that are made for
 * it and thrown away, a private temporary directory, and in it the servers' unix sockets (TLS, client
 * certificates) and the host files of memory files.
 *
 * The calling process watches.  The measuring is done by a child, so that the
 * watcher can stop everybody and remove the directory in plain code whatever
 * happens: the measuring fails or crashes, ^C, SIGTERM, SIGHUP.  (Only SIGKILL
 * leaves the directory behind; the processes end even then.)
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "bench/scratch.h"

struct world {
	char directory[SCRATCH_PATH_SIZE]; /* for files of the measuring's own, too */
	char conf[96];                     /* a mount file for sm_load(): all of kinds */
};

/*
 * Make a world, run measure(world, arg) in a process of its own, and clean
 * up.  Returns what measure returned, an exit status, or 1 after saying what went
 * wrong.  Ends the process by the signal that ended the measuring.
 */
int world_run(int (*measure)(const struct world *, void *), void *arg);

#endif
