#include "common/base/commandline.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* The word of argv that has the long option which getopt_long(3) has just returned. */
static const char *
last_word(char **argv, const struct option *found)
{
	const char *last = argv[optind - 1];

	return found->has_arg != no_argument && optarg == last ? argv[optind - 2] : last;
}

int
commandline_next(int argc, char **argv, const char *letters, const struct option *longs)
{
	int index = -1, option = getopt_long(argc, argv, letters, longs, &index);
	const char *word;
	int size;

	if (index < 0 || option == '?' || option == ':')
		return option;
	word = last_word(argv, &longs[index]) + strlen("--");
	size = (int)strcspn(word, "=");
	if ((size_t)size == strlen(longs[index].name))
		return option;
	fprintf(stderr, "%s: --%.*s is no option: is --%s meant?\n", argv[0], size, word,
	    longs[index].name);
	return '?';
}
