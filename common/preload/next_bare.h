/*
 * next_bare: functions of next.h as bare system calls, for calls that arrive while the thread is
 * looking up the real ones. They are no cancellation points; otherwise they do the same.
 */
#ifndef COMMON_PRELOAD_NEXT_BARE_H
#define COMMON_PRELOAD_NEXT_BARE_H

#include "common/preload/next.h"

/* Sets those members that have a bare form and are not set yet. */
void next_bare_fill(struct next *next);

#endif
