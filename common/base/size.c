#include "common/base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

int
size_parse(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	unsigned shift = 0;
	uint64_t value;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	switch (*end) {
	case 'g':
	case 'G':
		shift += 10;
		/* FALLTHROUGH */
	case 'm':
	case 'M':
		shift += 10;
		/* FALLTHROUGH */
	case 'k':
	case 'K':
		shift += 10;
		end++;
	}
	if (*end != '\0')
		return -EINVAL;
	if (value > UINT64_MAX >> shift || value << shift < least || value << shift > most)
		return -ERANGE;
	*out = value << shift;
	return 0;
}
