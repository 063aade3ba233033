/*
 * logsink: where the lines of the log go, without ever waiting for a reader.
 *
 * A line is written at once, with one write(2), when none waits and the destination takes it. Else
 * it waits in a queue of LOGSINK_QUEUE_SIZE bytes for logsink_flush(). A line that does not fit is
 * lost, and so are all others until half of the queue is free and the owner has told how many are
 * lost. Lines keep their order. Part of a line may be written: its rest goes before the next line,
 * or a line break does if there was no memory for the rest.
 *
 * Never set O_NONBLOCK on an inherited descriptor: every process that shares it would find it
 * non-blocking. Instead:
 * - a pipe, a terminal or a device is opened once more, non-blocking, through /proc/self/fd;
 * - a socket gets send(2) with MSG_DONTWAIT;
 * - a regular file takes every write at once (a file system that hangs holds up the daemon).
 * - a pipe or terminal that cannot be opened again (another user's, or of a process that is not
 *   dumpable) is asked by poll(2) before each line. This leaves a race: when another process fills
 *   the destination between poll and write(2), the daemon sleeps until somebody reads.
 *
 * The host owns the reader. It can lose lines, and delay them; it cannot hold up the daemon.
 */
#ifndef COMMON_BASE_LOGSINK_H
#define COMMON_BASE_LOGSINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum {
	LOGSINK_LINE_SIZE = 1024, /* of a line at most, its line break included */
	LOGSINK_QUEUE_SIZE = 64 * 1024
};

enum logsink_method { LOGSINK_DISCARD, LOGSINK_POLL, LOGSINK_SEND, LOGSINK_WRITE };

/* All zeros: discards lines. With an fd of the caller's and LOGSINK_POLL: writes there. */
struct logsink {
	int fd;
	bool is_owner; /* fd is the sink's to close */
	enum logsink_method method;
	struct buf queue;
	bool is_torn;    /* the first line of the queue is the rest of one */
	bool is_cut;     /* the destination ends in part of a line, and its rest is lost */
	int error;       /* of the last write; 0 when all of it was written */
	uint64_t lost;   /* lines, so far */
	uint64_t untold; /* of these, since logsink_tell() */
};

/*
 * Writes to fd from now on, which stays the caller's and open; opens it once more if that is
 * needed. The lines in the queue are kept; the rest of a torn line is lost.
 */
void logsink_use(struct logsink *s, int fd);

/*
 * Opens the file at path for appending, and creates it if need be; then as above. A named pipe
 * without a reader is refused with ENXIO. Returns 0 or a negative errno of open(2); on failure
 * nothing changes.
 */
int logsink_open(struct logsink *s, const char *path);

/* Discards the lines that wait, and all later ones. */
void logsink_close(struct logsink *s);

/*
 * Writes a line, which ends in a line break and has at most LOGSINK_LINE_SIZE bytes, or queues it.
 * An earlier write that failed (a full disk, say) is tried again first. Returns false when the line
 * is lost.
 */
bool logsink_put(struct logsink *s, const char *line, size_t size);

/* Writes the lines that wait, as many as the destination takes. */
void logsink_flush(struct logsink *s);

/*
 * True while lines wait for a reader. After another error nothing can be waited for: the next line
 * tries again.
 */
bool logsink_has_pending(const struct logsink *s);

/*
 * True when lines were lost and there is room to tell. An earlier write that failed is tried again
 * first.
 */
bool logsink_may_tell(struct logsink *s);

/* As logsink_put(); the line tells that s->untold lines were lost. */
void logsink_tell(struct logsink *s, const char *line, size_t size);

#endif
