/*
 * optionfile: the configuration file of both daemons, smserver.conf(5): a premanifest (its lexer,
 * premanifest.h) whose directives are the names of options, and `address`.
 *
 * The file belongs to the operator, and is a trusted file in an enclave; a host that writes it
 * chooses the options. It may contain any bytes: the result is options, or an error with file and
 * line.
 */
#ifndef COMMON_SERVER_OPTIONFILE_H
#define COMMON_SERVER_OPTIONFILE_H

#include <stdint.h>

struct options;
struct options_program;
struct options_words;

/*
 * Reads the file at path into *o, but for the options in *set, which the command line has set: bit
 * n is row n of the table. These are checked all the same. Adds the options to *set, and the file's
 * addresses to *addresses, which is empty. Relative paths begin at the directory of the file.
 * options_fini() frees the strings. Returns 0, or a negative errno with a message that begins with
 * the file (error.h).
 */
int optionfile_read(struct options *o, uint32_t *set, struct options_words *addresses,
    const struct options_program *program, const char *path);

#endif
