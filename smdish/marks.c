#include "smdish/marks.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 64 }; /* bits */

int
marks_init(struct marks *m, uint32_t count)
{
	uint64_t *words = calloc(count / WORD + 1, sizeof *words);

	if (words == NULL)
		return -ENOMEM;
	*m = (struct marks){ .words = words };
	return 0;
}

void
marks_fini(struct marks *m)
{
	free(m->words);
	*m = (struct marks){ 0 };
}

void
marks_add(struct marks *m, uint32_t first, uint32_t last)
{
	uint32_t block;

	if (m->end == 0 || first < m->first)
		m->first = first;
	if (m->end <= last)
		m->end = last + 1;
	for (block = first; block <= last; block++)
		m->words[block / WORD] |= UINT64_C(1) << block % WORD;
}

uint32_t
marks_next(const struct marks *m, uint32_t block)
{
	uint64_t word;

	for (; block < m->end; block = (block / WORD + 1) * WORD) {
		word = m->words[block / WORD] >> block % WORD;
		if (word != 0)
			return block + (uint32_t)__builtin_ctzll(word);
	}
	return m->end;
}

void
marks_clear(struct marks *m)
{
	uint32_t first = m->first / WORD;

	if (m->end > 0)
		memset(m->words + first, 0, (m->end / WORD + 1 - first) * sizeof *m->words);
	m->first = m->end = 0;
}
