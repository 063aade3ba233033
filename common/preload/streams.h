/*
 * streams: fopen(3), fdopen(3) and freopen(3) of memory files. The C library opens a stream's file
 * itself, past our open(); so a stream of /dev/null is made, for the mode that was asked for, and
 * given the number of a memory file's descriptor. Reading and writing it fails with EBADF.
 *
 * Functions return NULL and errno, as those of the C library do.
 */
#ifndef COMMON_PRELOAD_STREAMS_H
#define COMMON_PRELOAD_STREAMS_H

#include <stdbool.h>
#include <stdio.h>

/* Opens path if it is served; false when it is not. */
bool streams_open(const char *path, const char *mode, FILE **out);

/* The same, for a stream that is open; it is closed if path is served and cannot be opened. */
bool streams_reopen(const char *path, const char *mode, FILE *stream, FILE **out);

/* A stream for the memory file's descriptor fd; false when it is none. */
bool streams_attach(int fd, const char *mode, FILE **out);

#endif
