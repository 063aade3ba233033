/*
 * world: a server of our own for as long as something is measured: keys that
 * are made for it and thrown away, a private temporary directory, and
 * smdishserver on a unix socket in it, with TLS and client certificates.
 *
 * The calling process watches.  The measuring is done by a child, so that the
 * watcher can stop everybody and remove the directory in plain code whatever
 * happens: the measuring fails or crashes, ^C, SIGTERM, SIGHUP.  (Only SIGKILL
 * leaves the directory behind; the processes end even then.)
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

/* The mount point of the server. */
#define WORLD_MOUNT "/memserver0"

struct world {
	char directory[64]; /* for files of the measuring's own, too */
	char conf[96];      /* a mount file for sm_load() */
};

/*
 * Make a world, run measure(world, arg) in a process of its own, and clean
 * up.  Returns what measure returned, an exit status, or 1 after saying what went
 * wrong.  Ends the process by the signal that ended the measuring.
 */
int world_run(int (*measure)(const struct world *, void *), void *arg);

#endif
