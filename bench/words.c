#include "bench/words.h"

#include <stdio.h>

#include "common/base/size.h"

const char *
words_size(char out[WORDS_MOST], size_t size)
{
	if (size >= SIZE_MIB)
		snprintf(out, WORDS_MOST, "%zu MiB", size / SIZE_MIB);
	else if (size >= SIZE_KIB)
		snprintf(out, WORDS_MOST, "%zu KiB", size / SIZE_KIB);
	else
		snprintf(out, WORDS_MOST, "%zu B", size);
	return out;
}
