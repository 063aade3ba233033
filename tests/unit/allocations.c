#include "tests/unit/allocations.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_size_t count;

static void *
counted_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	atomic_fetch_add(&count, 1);
	return malloc(size);
}

static void *
counted_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	atomic_fetch_add(&count, 1);
	return realloc(old, size);
}

static void
just_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

int
allocations_watch(void)
{
	return CRYPTO_set_mem_functions(counted_malloc, counted_realloc, just_free) == 1 ? 0 : -1;
}

size_t
allocations_count(void)
{
	return atomic_load(&count);
}
