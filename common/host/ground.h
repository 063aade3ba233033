/*
 * ground: what the kernel or library OS below us offers. It tries each call, once in a process, the
 * first time that a caller asks; no code asks for the name of a system.
 *
 * These are properties of the system. Those of a directory or a file differ from mount to mount:
 * groundfiles.h measures a directory, hostprobe.h decides for a file.
 *
 * The host decides what is found here. It can make any of these say that something is missing; then
 * the caller does without, or refuses to start.
 */
#ifndef COMMON_HOST_GROUND_H
#define COMMON_HOST_GROUND_H

#include <stdbool.h>

enum ground_fact {
	GROUND_STATX,         /* statx(2) of a descriptor, with AT_STATX_DONT_SYNC */
	GROUND_FLOCK,         /* flock(2) */
	GROUND_KERNEL_LOCKS,  /* open file description locks (F_OFD_SETLK), Linux 3.15 */
	GROUND_USERFAULTFD,   /* written pages of memory are reported (uffd.h) */
	GROUND_SIGNALFD,      /* signalfd(2) */
	GROUND_PARENT_DEATH,  /* prctl(2) with PR_SET_PDEATHSIG */
	GROUND_SHARED_MEMORY, /* anonymous memory that is shared with forked children; forks */
	GROUND_FACTS
};

/* Whether the system offers that. */
bool ground_has(enum ground_fact fact);

/* Why it does not: a negative errno. 0 when it does. */
int ground_error(enum ground_fact fact);

#endif
