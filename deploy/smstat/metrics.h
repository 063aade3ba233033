/*
 * metrics: the last looks at servers as text for Prometheus (its exposition format 0.0.4), for the
 * textfile collector of its node exporter.
 *
 * Labels are ASCII whatever a server says: names are escaped (escape.h). Of two files of one name,
 * which no honest server lists, the newer one counts: a series must not be there twice.
 */
#ifndef DEPLOY_SMSTAT_METRICS_H
#define DEPLOY_SMSTAT_METRICS_H

#include <stddef.h>
#include <stdio.h>

struct observer;

/* Prints them. Returns 0 or -ENOMEM. */
int metrics_print(FILE *to, const struct observer *observers, size_t count);

#endif
