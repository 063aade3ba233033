/*
 * crowd: clients that do nothing: so many clients of one mount of the world, in
 * a few processes, each with so many memory files of its own open.
 *
 * They come and go as told, so that what is measured beside them can be measured
 * with and without them in turn.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <stddef.h>

struct crowd_plan {
	const char *name; /* one path component: where its files are */
	size_t clients;   /* connections, a multiple of CROWD_PROCESSES */
	size_t files;     /* that each has open, pure locks */
};

enum { CROWD_PROCESSES = 10 };

struct crowd;

/*
 * Start the processes, which wait.  conf is a mount file with the mount point
 * in it; all three must stay.  -errno.
 */
int crowd_create(struct crowd **out, const struct crowd_plan *plan, const char *conf,
    const char *mount);

/* Returns when all clients are there with all their files open.  -EPIPE: one failed, and said why. */
int crowd_gather(struct crowd *crowd);

/* Returns when all of them have closed everything.  -EPIPE. */
int crowd_dismiss(struct crowd *crowd);

/* NULL is fine.  All of them have ended when this returns. */
void crowd_destroy(struct crowd *crowd);

#endif
