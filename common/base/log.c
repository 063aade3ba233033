#include "common/base/log.h"

#include <bsd/string.h>
/* Only vis() is used; this settles which strnvis() the header declares. */
#define LIBBSD_OPENBSD_VIS 1
#include <bsd/vis.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/logsink.h"

enum { DRAIN_PAUSE_MS = 10 };

static const char *program = "?";
static const char *file;
static struct logsink sink = { .fd = STDERR_FILENO, .method = LOGSINK_POLL };
static enum log_level level_most = LOG_LEVEL_INFO;

int
log_open(const char *name, const char *path, enum log_level most)
{
	int error;

	if (path == NULL) {
		logsink_use(&sink, STDERR_FILENO);
	} else {
		error = logsink_open(&sink, path);
		if (error != 0)
			return error;
	}
	program = name;
	file = path;
	level_most = most;
	return 0;
}

int
log_reopen(void)
{
	return file == NULL ? 0 : log_open(program, file, level_most);
}

/* Waits until no line waits, for ms milliseconds at most. */
static void
drain(uint64_t ms)
{
	uint64_t deadline = clock_after_ms(clock_now(), ms);

	for (log_flush(); log_has_pending() && clock_now() < deadline; log_flush())
		poll(NULL, 0, DRAIN_PAUSE_MS);
}

void
log_leave_stderr(void)
{
	drain(LOG_DRAIN_MS);
	if (file == NULL)
		logsink_close(&sink);
}

bool
log_is_on(enum log_level level)
{
	return level <= level_most;
}

/* Makes a line, cut to fit. Returns its size. */
static size_t __attribute__((format(printf, 3, 0)))
format_line(char line[LOGSINK_LINE_SIZE], const char *word, const char *format, va_list args)
{
	struct timespec now;
	struct tm tm;
	size_t used;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	used = strftime(line, LOGSINK_LINE_SIZE, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	n = snprintf(line + used, LOGSINK_LINE_SIZE - used, "%s[%ld] %s", program, (long)getpid(),
	    word);
	used += (size_t)n;
	n = vsnprintf(line + used, LOGSINK_LINE_SIZE - used - 1, format, args);
	if (n > 0)
		used += (size_t)n;
	if (used > LOGSINK_LINE_SIZE - 2)
		used = LOGSINK_LINE_SIZE - 2;
	line[used++] = '\n';
	return used;
}

static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...)
{
	char line[LOGSINK_LINE_SIZE];
	va_list args;

	va_start(args, format);
	logsink_tell(&sink, line, format_line(line, "warning: ", format, args));
	va_end(args);
}

static void
tell_loss(void)
{
	if (logsink_may_tell(&sink))
		tell("%" PRIu64 " lines of the log were lost: %s", sink.untold,
		    "its reader was too slow, or it could not be written");
}

static void
write_line(enum log_level level, const char *word, const char *format, va_list args)
{
	char line[LOGSINK_LINE_SIZE];
	int saved = errno;

	if (!log_is_on(level))
		return;
	tell_loss();
	logsink_put(&sink, line, format_line(line, word, format, args));
	errno = saved;
}

#define LOG_FUNCTION(name, level, word) \
	void name(const char *format, ...) \
	{ \
		va_list args; \
\
		va_start(args, format); \
		write_line(level, word, format, args); \
		va_end(args); \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, "error: ")
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING, "warning: ")
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, "")
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, "debug: ")

bool
log_has_pending(void)
{
	return logsink_has_pending(&sink);
}

void
log_flush(void)
{
	logsink_flush(&sink);
	tell_loss();
}

void
log_close(void)
{
	drain(LOG_DRAIN_MS);
	logsink_close(&sink);
}

uint64_t
log_lost(void)
{
	return sink.lost;
}

const char *
log_escape(char out[LOG_ESCAPED_SIZE], const void *data, size_t size)
{
	const char *bytes = data;
	char *end = out;
	size_t i;

	*end = '\0';
	for (i = 0; i < size; i++) {
		/* vis(3) writes up to four characters and a NUL for one byte; "..." takes three. */
		if (end + 4 + 4 > out + LOG_ESCAPED_SIZE) {
			strlcpy(end, "...", 4);
			break;
		}
		end = vis(end, bytes[i], VIS_CSTYLE | VIS_WHITE | VIS_OCTAL | VIS_DQ,
		    i + 1 < size ? bytes[i + 1] : 0);
	}
	return out;
}
