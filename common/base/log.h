/*
 * log: one line an event, for the daemons only. The client library never prints.
 *
 * A line reads `2026-11-21T08:17:23Z smdishserver[417] warning: ...` and goes to standard error or
 * to the file of -l. One write(2) writes it, so that lines do not mix. Never pass keys or contents
 * of segments; pass names and other bytes that a peer chose through log_escape() first.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_NONE,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/*
 * Sets the program's name, the file (NULL: standard error) and the most verbose level that is
 * written. The log keeps references to name and path. Returns 0 or a negative errno of open(2); on
 * failure nothing changes.
 */
int log_open(const char *name, const char *path, enum log_level most);

/* Opens the file again, after it was rotated. Returns 0 or a negative errno (nothing changes). */
int log_reopen(void);

/* The descriptor that lines are written to. */
int log_fd(void);

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
