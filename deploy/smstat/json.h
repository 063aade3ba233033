/*
 * json: the last looks at servers as one JSON value (RFC 8259) on a line of its own.
 *
 * It is ASCII whatever a server says: names are escaped (escape.h), and what a server may draw at
 * random is written as hexadecimal digits in a string.
 */
#ifndef DEPLOY_SMSTAT_JSON_H
#define DEPLOY_SMSTAT_JSON_H

#include <stddef.h>
#include <stdio.h>

struct observer;

/* Prints them: {"servers": [...]}. */
void json_print(FILE *to, const struct observer *observers, size_t count);

#endif
