#include "common/preload/next.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>

#include "common/preload/next_bare.h"

struct next next;

/* True while this thread is in dlsym(3). */
static __thread bool is_finding __attribute__((tls_model("initial-exec")));

/* Stands for a function that the C library does not have. */
static intptr_t
missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *
find(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	return found != NULL ? found : (void *)(intptr_t)missing;
}

/* Bare functions that a thread used meanwhile are replaced. */
#define FIND(type, name, parameters) \
	atomic_store(&next.name, (next_##name##_function *)(intptr_t)find(#name));

void
next_find(void)
{
	int saved = errno;

	if (is_finding) {
		next_bare_fill(&next);
		return;
	}
	is_finding = true;
	NEXT_FUNCTIONS(FIND)
	is_finding = false;
	errno = saved;
}
