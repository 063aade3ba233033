/*
 * tool: finds the programs that smbench starts: beside itself first, so that a
 * tree that was just built measures itself and not what is installed, then
 * where `make install` puts them, then in $PATH.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <limits.h>

enum tool { TOOL_NONE, TOOL_SMDISHSERVER, TOOL_SMUFSERVER, TOOL_MKPKI };

/* The path of an executable file, for execv(2).  -ENOENT; other -errno. */
int tool_find(char out[PATH_MAX], enum tool tool);

/* "smdishserver" */
const char *tool_name(enum tool tool);

#endif
