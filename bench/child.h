/*
 * child: processes that do not outlive the one that started them.
 *
 * A child is killed by the kernel when its parent (the thread that forked it)
 * ends, however that came, so that a benchmark that is killed leaves nobody
 * running.  A child that executes another program keeps that.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

/*
 * fork(2): the child's id, or 0 in the child, goes to *out.  -errno.
 * What stdio holds is written first, so that the child does not repeat it.
 */
int child_fork(pid_t *out);

/* Kill a child and wait for its end; -1 is none. */
void child_kill(pid_t pid);

/*
 * Wait for the end of a child.  Its exit status; 128 and the signal's number
 * if a signal ended it; -errno.
 */
int child_wait(pid_t pid);

#endif
