/*
 * mirror: the queue of a version 2 lock, written as tickets into the host's file (smuf/FORMAT 2).
 *
 * Other processes on the host can see there how many clients wait. The file is written at most
 * every MIRROR_MS, and only when the lock has changed; it is never read. The host may write
 * anything there: it means nothing, and the next change overwrites it.
 */
#ifndef SMUF_MIRROR_H
#define SMUF_MIRROR_H

struct storefile;

enum { MIRROR_MS = 100 };

/* The lock of a file of version 2 has changed: writes the file within MIRROR_MS. */
void mirror_lock_changed(struct storefile *s);

#endif
