#include "common/server/operators.h"

#include <string.h>

/* Finds the end of the name at *list. Returns its size and sets *list behind it; NULL: the last. */
static size_t
next_name(const char **list)
{
	size_t size = strcspn(*list, ",");

	*list = (*list)[size] == ',' ? *list + size + 1 : NULL;
	return size;
}

bool
operators_is_valid(const char *list)
{
	while (list != NULL)
		if (next_name(&list) == 0)
			return false;
	return true;
}

bool
operators_include(const char *list, const char *name, size_t size)
{
	const char *one;

	while (list != NULL) {
		one = list;
		if (next_name(&list) == size && memcmp(one, name, size) == 0)
			return true;
	}
	return false;
}
