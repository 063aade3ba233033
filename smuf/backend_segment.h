/*
 * backend_segment: the host's file of a smuf segment, as a client has it: opened by name in the
 * mount's directory, and opened again once something was wrong with it, for it may be another one
 * by then. What is read there means nothing before it was verified; that is backend.c's.
 */
#ifndef SMUF_BACKEND_SEGMENT_H
#define SMUF_BACKEND_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/host/hostfile.h"
#include "common/host/hostwriter.h"

struct remotefile;

struct backend_segment {
	const struct remotefile *owner; /* for its mount and name */
	uint32_t size;                  /* of the segment, bytes */
	struct hostfile file;
	struct hostwriter writer;
	bool is_doubtful; /* something was wrong with the file */
};

/* None is open yet. */
void backend_segment_init(struct backend_segment *s, const struct remotefile *owner);

/*
 * Opens the file of a segment of size bytes. Returns 0; -EIO (it is not there, or too short, or
 * cannot be opened); -ENOTSUP (a library OS gives private copies); -ENOMEM; with words.
 */
int backend_segment_open(struct backend_segment *s, uint32_t size);

/* Opens it again if it is doubtful. Errors: the same. */
int backend_segment_refresh(struct backend_segment *s);

/* Also for one that is not open. */
void backend_segment_close(struct backend_segment *s);

/* -EIO with words: what failed, and error, which it failed with. */
int backend_segment_fail(const struct backend_segment *s, const char *what, int error);

/*
 * Whether the directory is that of the server, which says that the file's life is this one: a file
 * of that name in another server's directory would be written over. The lock file tells whose it
 * is; one that is gone, or forged, tells nothing, and harms nobody but us. Returns 0, or -EIO with
 * words.
 */
int backend_segment_check_life(const struct backend_segment *s, uint64_t life);

#endif
