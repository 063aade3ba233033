/*
 * mountwords: the mount points that a mount file names, the third words of its MOUNT lines, without
 * the lexer of the client library, which allocates memory.
 *
 * The words are those of common/base/premanifest.h: blanks separate them, a # begins a comment,
 * $NAME and ${NAME} stand for variables of the environment, and a ~ at a word's begin for $HOME. A
 * line that is malformed has no mount point here; the client library says what is wrong with it.
 */
#ifndef COMMON_PRELOAD_MOUNTWORDS_H
#define COMMON_PRELOAD_MOUNTWORDS_H

#include <stddef.h>

/* Calls found for the mount point of each line; the word is valid during the call. */
void mountwords_each_point(const char *bytes, size_t size, void (*found)(const char *word));

#endif
