/*
 * progress: one line on standard error that is written over and then taken
 * away, and only if that is a terminal.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stddef.h>

/* "measuring DONE of TOTAL"; the line goes when both are the same. */
void progress_show(size_t done, size_t total);

#endif
