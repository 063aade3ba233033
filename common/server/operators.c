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

static bool
is_blank(char c)
{
	return strchr(" \t\n\v\f\r", c) != NULL;
}

const char *
operators_fault(const char *list)
{
	const char *one;
	size_t size;

	while (list != NULL) {
		one = list;
		size = next_name(&list);
		if (size == 0)
			return "an empty name";
		if (is_blank(one[0]) || is_blank(one[size - 1]))
			return "a blank before or after a name: give commas alone between names";
	}
	return NULL;
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
