/*
 * logline: the lines of the libraries, which go to standard error or where SM_LOG in the
 * environment says.
 *
 * A line is one write(2), of bare system calls: a preloaded library may stand in front of any
 * function. Nothing here allocates memory or takes a lock.
 */
#ifndef COMMON_BASE_LOGLINE_H
#define COMMON_BASE_LOGLINE_H

#include <stddef.h>

/*
 * Writes a line of size bytes, with its end. log is the value of SM_LOG: NULL: to standard error;
 * "off": nowhere; else a file to which it is appended, or standard error when this process cannot
 * open that. errno may change.
 */
void logline_put(const char *log, const char *line, size_t size);

#endif
