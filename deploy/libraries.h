/*
 * libraries: the shared libraries that the dynamic loader of this machine loads for a program or a
 * library.
 *
 * The loader lists them as for ldd(1), and runs no code of the program. It heeds LD_LIBRARY_PATH;
 * of the rest of the environment it sees nothing. The program belongs to the packager, but may be
 * any file: what is no ELF file for x86-64 is refused before the loader sees it.
 */
#ifndef DEPLOY_LIBRARIES_H
#define DEPLOY_LIBRARIES_H

#include <stdbool.h>

struct lines;

/*
 * Adds to out the paths of the libraries of the ELF file at path, in the loader's order, each once
 * and without the loader itself: none for a static program. Sets *is_dynamic, if that is not NULL:
 * the loader starts the program. Returns 0; -ENOEXEC; -ENOENT when a library is not found; errors
 * of open(2), read(2) and posix_spawn(3); -ENOMEM; with a message.
 */
int libraries_list(struct lines *out, bool *is_dynamic, const char *path);

/*
 * True if a library of that name (the last component counts) belongs to the C library, of which
 * Graphene and Gramine bring their own.
 */
bool libraries_is_libc(const char *path);

/* The path behind its last slash. */
const char *libraries_name(const char *path);

#endif
