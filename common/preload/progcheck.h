/*
 * progcheck: whether a preloaded library reaches a program, from its file alone. The file may have
 * any contents.
 *
 * A program without an interpreter (PT_INTERP) is linked statically; one with another interpreter
 * than this program's has another C library; one with privileges of its own is started without
 * LD_PRELOAD. Those are not served. System call instructions of its own, and functions that share
 * memory in other ways, are worth a warning: the calls that go through the C library are served.
 */
#ifndef COMMON_PRELOAD_PROGCHECK_H
#define COMMON_PRELOAD_PROGCHECK_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Checks the file at path; a script's interpreter in its place. Writes a line to out for each
 * finding. Returns 0 when it is served, 1 when it is not, or a negative errno.
 */
int progcheck_run(const char *path, FILE *out);

#endif
