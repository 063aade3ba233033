/*
 * mirror: the queue of a version 2 lock as tickets in the host's file, for whoever looks (DESIGN 6).
 *
 * Written at most every MIRROR_MS, and only when the lock has moved; never read. What the host writes there is
 * overwritten with the next move and means nothing.
 */
#ifndef SMUF_MIRROR_H
#define SMUF_MIRROR_H

struct storefile;

enum { MIRROR_MS = 100 };

/* The lock has moved. */
void mirror_lock_changed(struct storefile *s);

#endif
