#include "common/preload/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINE_SIZE = 1024, LOG_MODE = 0600 };

/* Bare system calls: the program may have replaced any function, and ours stand before the rest. */
static void
put(const char *line, size_t size)
{
	const char *log = secure_getenv("SM_LOG");
	long fd = STDERR_FILENO;

	if (log != NULL && strcmp(log, "off") == 0)
		return;
	if (log != NULL)
		fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
		    LOG_MODE);
	if (fd < 0)
		return;
	(void)syscall(SYS_write, (int)fd, line, size);
	if (log != NULL)
		(void)syscall(SYS_close, (int)fd);
}

void
report(const char *subject, const char *format, ...)
{
	char line[LINE_SIZE];
	int saved = errno, n;
	va_list args;
	size_t used;

	n = snprintf(line, sizeof line, "libsmpreload: %.64s[%ld]: %.512s%s",
	    program_invocation_short_name, (long)getpid(), subject != NULL ? subject : "",
	    subject != NULL ? ": " : "");
	used = (size_t)n;
	va_start(args, format);
	n = vsnprintf(line + used, sizeof line - used, format, args);
	va_end(args);
	used = n < (int)(sizeof line - used) ? used + (size_t)n : sizeof line - 1;
	line[used++] = '\n';
	put(line, used);
	errno = saved;
}
