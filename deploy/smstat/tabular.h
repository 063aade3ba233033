/*
 * tabular: a server's last look as a table for people: a few lines about the server, then a line
 * for each memory file, the busiest first.
 *
 * The names are those that clients chose, escaped (escape.h).
 */
#ifndef DEPLOY_SMSTAT_TABULAR_H
#define DEPLOY_SMSTAT_TABULAR_H

#include <stddef.h>
#include <stdio.h>

struct observer;

/* How much fits, in characters; 0: no limit. */
struct tabular_room {
	size_t rows, columns;
};

enum { TABULAR_ROWS_LEAST = 6 }; /* of a room that has a limit */

/* Prints it. Returns 0 or -ENOMEM. After a look that failed it is the reason. */
int tabular_print(FILE *to, const struct observer *o, struct tabular_room room);

#endif
