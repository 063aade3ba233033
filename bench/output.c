#include "bench/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/escape.h"
#include "common/base/size.h"

const char *
output_size_text(char out[OUTPUT_SIZE_TEXT], size_t size)
{
	if (size >= SIZE_MIB)
		snprintf(out, OUTPUT_SIZE_TEXT, "%zu MiB", size / SIZE_MIB);
	else if (size >= SIZE_KIB)
		snprintf(out, OUTPUT_SIZE_TEXT, "%zu KiB", size / SIZE_KIB);
	else
		snprintf(out, OUTPUT_SIZE_TEXT, "%zu B", size);
	return out;
}

void
output_json_string(const char *text)
{
	escape_quote(stdout, text, strlen(text));
}

void
output_json_stats(const struct stats *stats)
{
	printf("\"count\": %zu, \"median_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64
	       ", \"min_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 ", \"mean_ns\": %.0f",
	    stats->count, stats->median, stats->p99, stats->min, stats->max, stats->mean);
}

void
output_progress(size_t done, size_t total)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (done < total)
		fprintf(stderr, "\rmeasuring, %zu of %zu done", done, total);
	else
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}
