/*
 * words: sizes as people read them, in tables and plots.
 */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#include <stddef.h>

enum { WORDS_MOST = 32 };

/* "1 MiB", "10 KiB", "3 B": in the largest unit of which there is one, rounded down.  Returns out. */
const char *words_size(char out[WORDS_MOST], size_t size);

#endif
