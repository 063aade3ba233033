/*
 * output: sizes in words, pieces of JSON (RFC 8259), and the line that shows progress. Everything
 * but the progress goes to standard output.
 */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include <stddef.h>

#include "bench/stats.h"

enum { OUTPUT_SIZE_TEXT = 32 };

/*
 * Writes a size as "1 MiB", "10 KiB" or "3 B": the largest unit of which it has at least one,
 * rounded down. Returns out.
 */
const char *output_size_text(char out[OUTPUT_SIZE_TEXT], size_t size);

/*
 * Prints a JSON string with its quotes. A path may have any bytes: all but printable ASCII
 * characters are escaped as escape.h says, and as smstat -j does.
 */
void output_json_string(const char *text);

/* Prints the members for samples in nanoseconds, without the braces around them. */
void output_json_stats(const struct stats *stats);

/*
 * Shows "measuring, DONE of TOTAL done" on standard error if that is a terminal. Each call
 * overwrites the line; the call with DONE equal to TOTAL clears it.
 */
void output_progress(size_t done, size_t total);

#endif
