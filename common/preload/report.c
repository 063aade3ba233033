#include "common/preload/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/logline.h"

enum { LINE_SIZE = 1024 };

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
	logline_put(secure_getenv("SM_LOG"), line, used);
	errno = saved;
}
