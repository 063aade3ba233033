/*
 * container: from a pointer to a member to the struct that embeds it.
 */
#ifndef COMMON_BASE_CONTAINER_H
#define COMMON_BASE_CONTAINER_H

#include <stddef.h>

/* The struct of that type whose member is at pointer, which must not be NULL. */
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
