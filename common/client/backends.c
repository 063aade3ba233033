#include "common/client/backends.h"

#include <stddef.h>
#include <string.h>

#include "common/client/backend.h"

extern const struct backend_ops smdish_backend;
extern const struct backend_ops smuf_backend;
extern const struct backend_ops smc_backend;

static const struct backend_ops *const backends[] = {
	&smdish_backend,
	&smuf_backend,
	&smc_backend,
};

const struct backend_ops *
backends_find(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof backends / sizeof backends[0]; i++)
		if (strcmp(backends[i]->type, type) == 0)
			return backends[i];
	return NULL;
}
