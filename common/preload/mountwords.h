/*
 * mountwords: the mount points that a mount file names, the third words of its MOUNT lines, without
 * the lexer of the client library, which allocates memory.
 *
 * The words are those of common/base/premanifest.h. The client library judges the file, refuses it
 * as a whole, and says what is wrong with it. So a line without a fault here may still be refused;
 * one with a fault is, but for words of PATH_MAX bytes and more. This module reports the mount
 * point of a refused line, too, if it can read one: calls on the paths that a good line would have
 * served must not reach the host's files.
 */
#ifndef COMMON_PRELOAD_MOUNTWORDS_H
#define COMMON_PRELOAD_MOUNTWORDS_H

#include <stddef.h>

struct mountwords_line {
	unsigned number;   /* from 1 */
	const char *point; /* absolute; NULL: nobody can tell it */
	const char *fault; /* why the client library refuses the file, or NULL */
};

/* Calls found, with arg, for each line that mounts, or has a fault. *line is valid in the call. */
void mountwords_each_mount(const char *bytes, size_t size,
    void (*found)(void *arg, const struct mountwords_line *line), void *arg);

#endif
