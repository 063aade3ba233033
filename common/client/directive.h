/*
 * directive: the first words of a mount file's lines, and the types of mount, that concern only the
 * tools that package programs. The client library and the preloaded one skip the same lines.
 *
 * No function allocates memory or fails. A word comes from the operator of the program.
 */
#ifndef COMMON_CLIENT_DIRECTIVE_H
#define COMMON_CLIENT_DIRECTIVE_H

#include <stdbool.h>

/* MOUNT, and those that name files for TLS, in words for a message. */
#define DIRECTIVE_NAMES "MOUNT, CAFILE, CERTFILE, KEYFILE, CRLFILE"

/* True for these but MOUNT, and for the directives that are for packagers only. */
bool directive_makes_no_mount(const char *word);

/* True for the types of mount that packagers mount. */
bool directive_is_packagers_type(const char *type);

#endif
