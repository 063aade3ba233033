/*
 * wholefile: reads a small file whole.
 *
 * The file may be the host's: the caller gives the room, and a longer file does not overrun it.
 */
#ifndef COMMON_BASE_WHOLEFILE_H
#define COMMON_BASE_WHOLEFILE_H

#include <stddef.h>

/*
 * Reads the file at path into out, at most room bytes; *size is their number, and room when there
 * may be more. Returns 0 or a negative errno of open(2) or read(2); out may then have been written
 * to.
 */
int wholefile_read(const char *path, void *out, size_t room, size_t *size);

#endif
