/*
 * operators: the peers that may INSPECT, as the option --operators lists them (PROTOCOL 5.6).
 *
 * A list is names with commas between them, compared byte for byte with the one common name of a
 * verified certificate. So a name with a comma is never an operator's.
 */
#ifndef COMMON_SERVER_OPERATORS_H
#define COMMON_SERVER_OPERATORS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns what is wrong with a list, for a message: an empty name, or one that begins or ends with
 * a blank, which nobody means to be part of it. NULL: the list is valid.
 */
const char *operators_fault(const char *list);

/* True when the size bytes at name are one of the names of the list, which is valid. */
bool operators_include(const char *list, const char *name, size_t size);

#endif
