/*
 * directive: the lines of a mount file that make no mount: those that name files for TLS, and those
 * for the tools that package programs. The client library and the preloaded one use these lists.
 *
 * No function allocates memory or fails. A word comes from the operator of the program.
 */
#ifndef COMMON_CLIENT_DIRECTIVE_H
#define COMMON_CLIENT_DIRECTIVE_H

#include <stdbool.h>

/* The directives for the client library, as a list for a message. */
#define DIRECTIVE_NAMES "MOUNT, CAFILE, CERTFILE, KEYFILE, CRLFILE"

/* True for the directives of DIRECTIVE_NAMES other than MOUNT, and for those of packagers. */
bool directive_makes_no_mount(const char *word);

/* True for the types of mount that packagers mount. */
bool directive_is_packagers_type(const char *type);

#endif
