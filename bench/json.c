#include "bench/json.h"

#include <inttypes.h>

void
json_string(FILE *file, const char *text)
{
	putc('"', file);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(file, "\\u%04x", c);
		else
			putc(c, file);
	}
	putc('"', file);
}

void
json_stats(FILE *file, const struct stats *stats)
{
	fprintf(file,
	    "\"count\": %zu, \"median_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64
	    ", \"min_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 ", \"mean_ns\": %.0f",
	    stats->count, stats->median, stats->p99, stats->min, stats->max, stats->mean);
}
