/*
 * commandline: getopt_long(3) without abbreviations. `--target` must not start what `--targets`
 * does, and a new option must not change what an old command line means.
 *
 * The user of the program writes the command line; any text is an option, an operand or an error.
 */
#ifndef COMMON_BASE_COMMANDLINE_H
#define COMMON_BASE_COMMANDLINE_H

struct option; /* of <getopt.h> */

/*
 * As getopt_long(3). For an abbreviated option it prints the whole name on standard error and
 * returns '?', as getopt_long(3) does for one that does not exist.
 */
int commandline_next(int argc, char **argv, const char *letters, const struct option *longs);

#endif
