#include "common/base/log.h"

#include <bsd/string.h>
/* Only vis() is used; this settles which strnvis() the header declares. */
#define LIBBSD_OPENBSD_VIS 1
#include <bsd/vis.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *program = "?";
static const char *file;
static int fd = STDERR_FILENO;
static enum log_level level_most = LOG_LEVEL_INFO;

int
log_open(const char *name, const char *path, enum log_level most)
{
	int opened = STDERR_FILENO;

	if (path != NULL) {
		opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
		if (opened < 0)
			return -errno;
	}
	if (fd != STDERR_FILENO)
		close(fd);
	fd = opened;
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

int
log_fd(void)
{
	return fd;
}

bool
log_is_on(enum log_level level)
{
	return level <= level_most;
}

static void
write_line(enum log_level level, const char *word, const char *format, va_list args)
{
	char line[1024];
	struct timespec now;
	struct tm tm;
	size_t used;
	int n, saved = errno;

	if (!log_is_on(level))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	n = snprintf(line + used, sizeof line - used, "%s[%ld] %s", program, (long)getpid(), word);
	used += (size_t)n;
	n = vsnprintf(line + used, sizeof line - used - 1, format, args);
	if (n > 0)
		used += (size_t)n;
	if (used > sizeof line - 2)
		used = sizeof line - 2;
	line[used++] = '\n';
	/* The daemon goes on serving when its log cannot be written. */
	if (write(fd, line, used) < 0) {
	}
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
