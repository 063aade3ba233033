/*
 * scratch: the private temporary directory that everything of a world is in: keys, sockets, logs, and the host files of
 * memory files. It is below $TMPDIR or /tmp: on the file system that a program's files would be on, if that is a disk's,
 * and not in memory.
 */
#ifndef BENCH_SCRATCH_H
#define BENCH_SCRATCH_H

#include <stddef.h>

enum { SCRATCH_PATH_SIZE = 64 };

/* Make it; its path goes to out. -1 after saying what is wrong. */
int scratch_create(char out[SCRATCH_PATH_SIZE]);

/* Remove it with all that is in it, and empty the path; an empty one is fine. */
void scratch_destroy(char path[SCRATCH_PATH_SIZE]);

/* The name of the file system it is on, "ext4" or "tmpfs"; a number in hexadecimal if we do not know it. */
const char *scratch_file_system(char out[32], const char *path);

#endif
