#include "bench/progress.h"

#include <stdio.h>
#include <unistd.h>

void
progress_show(size_t done, size_t total)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (done < total)
		fprintf(stderr, "\rmeasuring, %zu of %zu done", done, total);
	else
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}
