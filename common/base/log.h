/*
 * log: one line an event, for the daemons only. The client library prints nothing, but for
 * SM_STATS (stats.h).
 *
 * A line reads `2026-11-21T08:17:23Z smdishserver[417] warning: ...` and goes to standard error or
 * to the file of -l. One write(2) writes it, so that lines do not mix. Never pass keys or contents
 * of segments; pass names and other bytes that a peer chose through log_escape() first.
 *
 * The log never blocks (logsink.h says how). A line that the destination does not take waits in a
 * queue of 64 KiB, debug lines too; the owner of the event loop calls log_flush() while
 * log_has_pending(), at least every LOG_RETRY_MS. Lines that do not fit are lost. One line tells
 * how many, as soon as half of the queue is free again. A full disk or a reader that is gone loses
 * lines in the same way, and nothing else.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOG_RETRY_MS = 100,
	LOG_DRAIN_MS = 1000 /* that a daemon waits for its log before it ends */
};

enum log_level {
	LOG_LEVEL_NONE,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/*
 * Sets the program's name, the file (NULL: standard error) and the most verbose level that is
 * written. The log keeps references to name and path. Call it while the process is dumpable: it
 * opens standard error again. Returns 0 or a negative errno of open(2); on failure nothing changes.
 */
int log_open(const char *name, const char *path, enum log_level most);

/* Opens the file again, after it was rotated. Returns 0 or a negative errno (nothing changes). */
int log_reopen(void);

/*
 * Standard error is about to become another file: writes the lines that wait, as log_close(), and
 * discards all later ones if the log goes there.
 */
void log_leave_stderr(void);

/* True while lines wait for a reader. */
bool log_has_pending(void);

/* Writes the lines that wait, as many as the destination takes, without waiting. */
void log_flush(void);

/*
 * The daemon ends: waits until no line waits, for LOG_DRAIN_MS at most, and discards all later
 * lines.
 */
void log_close(void);

/* The number of lines that were lost. */
uint64_t log_lost(void);

/* True when lines of that level are written. */
bool log_is_on(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum { LOG_ESCAPED_SIZE = 256 };

/*
 * Writes size bytes at data into out, encoded by vis(3) (C style; line breaks, blanks and quotes
 * escaped). Text that does not fit is cut and ends in "...". Returns out, a string.
 */
const char *log_escape(char out[LOG_ESCAPED_SIZE], const void *data, size_t size);

#endif
