/*
 * json: the few pieces that the machine-readable outputs have in common.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdio.h>

#include "bench/stats.h"

/*
 * Write a string with its quotes (RFC 8259).  Bytes above 127 are passed on:
 * paths are UTF-8, or nobody could say what else they should become.
 */
void json_string(FILE *file, const char *text);

/* Write members for samples in nanoseconds, with no brace and no comma around them. */
void json_stats(FILE *file, const struct stats *stats);

#endif
