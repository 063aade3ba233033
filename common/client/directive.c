#include "common/client/directive.h"

#include <stddef.h>
#include <string.h>

/* list ends with NULL. */
static bool
is_one_of(const char *word, const char *const *list)
{
	while (*list != NULL && strcmp(word, *list) != 0)
		list++;
	return *list != NULL;
}

bool
directive_makes_no_mount(const char *word)
{
	static const char *const words[] = { "CAFILE", "CERTFILE", "KEYFILE", "CRLFILE", "CONFFILE",
		"DEBUG", "ENCLAVE_SIZE", "EXEC", "MODULE", "THREADS", "TIMESERVER", NULL };

	return is_one_of(word, words);
}

bool
directive_is_packagers_type(const char *type)
{
	static const char *const types[] = { "chroot", "encrypted", "nextfs", NULL };

	return is_one_of(type, types);
}
