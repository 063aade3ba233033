/*
 * filename: the names of memory files whose segments are in files of the host (smuf, smc). The name
 * without its '/' is the name of the lock file; with a suffix it is the name of the segment file.
 * So it is one component, is neither "." nor "..", and does not end in that suffix.
 */
#ifndef COMMON_HOST_FILENAME_H
#define COMMON_HOST_FILENAME_H

#include <stddef.h>

#define FILENAME_SUFFIX ".segment"

enum {
	FILENAME_LIMIT = 128, /* a name of so many bytes or more, its '/' included, is too long */
	FILENAME_SEGMENT_SIZE = FILENAME_LIMIT + sizeof FILENAME_SUFFIX
};

/*
 * Checks the name of a memory file, size bytes, at least 1. Returns 0, -ENAMETOOLONG or -EINVAL,
 * with a message.
 */
int filename_check(const char *name, size_t size);

/* The name of the segment file whose lock file is name. */
void filename_segment(char out[FILENAME_SEGMENT_SIZE], const char *name);

#endif
