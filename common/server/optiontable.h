/*
 * optiontable: all options of both daemons, each once: the letters and names that getopt_long(3)
 * takes, the words of a configuration file, and the texts of the usage and of --help.
 */
#ifndef COMMON_SERVER_OPTIONTABLE_H
#define COMMON_SERVER_OPTIONTABLE_H

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct options_program;

enum { OPTIONTABLE_OPERATORS = 256, OPTIONTABLE_VERSION };

enum { OPTIONTABLE_LETTERS_SIZE = 64, OPTIONTABLE_LONGS = 32, OPTIONTABLE_ARGUMENTS_MOST = 3 };

enum optiontable_program { OPTIONTABLE_BOTH, OPTIONTABLE_HAS_LEASE, OPTIONTABLE_HAS_MEMDIR };

/* The kind says what the arguments are, and whether a configuration file may have the option. */
enum optiontable_kind {
	OPTIONTABLE_VALUE,
	OPTIONTABLE_PATH,        /* a configuration file's begins at the directory of that file */
	OPTIONTABLE_COMMAND_LINE /* never in a configuration file */
};

struct optiontable_row {
	int value;            /* a letter, or a number from 256 on: no letter */
	const char *name;     /* without its dashes */
	const char *argument; /* in words, one for each argument; NULL: it takes none */
	enum optiontable_kind kind;
	enum optiontable_program program; /* that has it */
	const char *help;                 /* lines; no line break at the end */
};

extern const struct optiontable_row optiontable[];
extern const size_t optiontable_count;

/* A number with one bit, which stands for the row in sets of options. */
static inline uint32_t
optiontable_bit(const struct optiontable_row *row)
{
	return UINT32_C(1) << (row - optiontable);
}

/* The row that getopt_long(3) has found by its value, or that has the name; NULL: none. */
const struct optiontable_row *optiontable_find(int value);
const struct optiontable_row *optiontable_find_name(const struct options_program *program,
    const char *name);

/* How many arguments it takes, at most OPTIONTABLE_ARGUMENTS_MOST. */
size_t optiontable_argument_count(const struct optiontable_row *row);

/* Writes what getopt_long(3) takes: letters behind "-", so that operands come in their order. */
void optiontable_letters(const struct options_program *program, char out[OPTIONTABLE_LETTERS_SIZE]);
void optiontable_longs(const struct options_program *program, struct option out[OPTIONTABLE_LONGS]);

/* Prints the usage: a few lines that name all options. */
void optiontable_print_usage(const struct options_program *program, FILE *to);

/* Prints a paragraph for each option on standard output. */
void optiontable_print_help(const struct options_program *program);

#endif
