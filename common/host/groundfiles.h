/*
 * groundfiles: what files in a directory can do here, tried with a file of its own and a forked
 * process. Unlike the facts of ground.h these differ from mount to mount.
 *
 * This is for reports (smbench --probe). The library decides for each file by itself, as the file
 * answers (hostprobe.h, presence.h). The host decides what is found.
 */
#ifndef COMMON_HOST_GROUNDFILES_H
#define COMMON_HOST_GROUNDFILES_H

enum groundfiles_fact {
	GROUNDFILES_PREAD,   /* pread(2) and pwrite(2) */
	GROUNDFILES_MAPPING, /* another process sees what is written to a shared mapping */
	GROUNDFILES_FUTEX,   /* futex(2) in it wakes another process */
	GROUNDFILES_LOCKS,   /* another process sees open file description locks */
	GROUNDFILES_FLOCK,   /* another process sees an flock(2) */
	GROUNDFILES_SIZE,    /* a file that another process has made larger measures more */
	GROUNDFILES_LINKS,   /* a file that was removed has no links */
	GROUNDFILES_FACTS
};

struct groundfiles {
	int errors[GROUNDFILES_FACTS]; /* 0, or why not: a negative errno, -ENOTSUP: silently */
};

/*
 * Tries all in the directory at path; forks. Returns 0, or a negative errno when no file can be
 * made there.
 */
int groundfiles_probe(struct groundfiles *g, const char *path);

#endif
