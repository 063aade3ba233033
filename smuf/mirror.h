/*
 * mirror: the queue of a version 2 lock, written as tickets into the host's file (smuf/FORMAT 2).
 *
 * Other processes on the host can see there how many clients wait. The file is written at most
 * every MIRROR_MS, and only when the lock has changed; it is never read. A server that is busy
 * writes later (visits.h). The host may write anything there: it means nothing, and the next change
 * overwrites it.
 */
#ifndef SMUF_MIRROR_H
#define SMUF_MIRROR_H

struct storefile;
struct visit;

enum { MIRROR_MS = 100 };

/* The lock of a file of version 2 has changed: its file is written MIRROR_MS later. */
void mirror_lock_changed(struct storefile *s);

/* The visit of a file whose lock has changed: writes the tickets. */
void mirror_write(struct visit *v);

#endif
