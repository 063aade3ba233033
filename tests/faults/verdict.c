#include "tests/faults/verdict.h"

#include <stdarg.h>
#include <stdio.h>

void
verdict_say(struct verdict *v, const char *format, ...)
{
	va_list args;

	if (v->is_bad)
		return;
	v->is_bad = true;
	va_start(args, format);
	vsnprintf(v->text, sizeof v->text, format, args);
	va_end(args);
}
