/*
 * report: lines about failures, on standard error.
 *
 *	libsmpreload: python3[4711]: /shared/counter: read: not possible on a memory file
 *
 * SM_LOG=off suppresses them; SM_LOG=FILE appends them to that file (logline.h). A line is one
 * write(2), never of contents or keys. Nothing here allocates memory or takes a lock, and errno
 * stays.
 */
#ifndef COMMON_PRELOAD_REPORT_H
#define COMMON_PRELOAD_REPORT_H

/* Writes a line; subject is a path or another name, and may be NULL. */
void report(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
