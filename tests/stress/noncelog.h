/*
 * noncelog: checks that no key stream was used twice, in a log of testpoint_nonce()
 * (tests/nonces/record.h).
 */
#ifndef TESTS_STRESS_NONCELOG_H
#define TESTS_STRESS_NONCELOG_H

#include <stddef.h>
#include <stdio.h>

/*
 * Writes a line for each use of units that an earlier use under the same key and nonce has used;
 * without such a use, a line that counts uses and keys. Returns 0 when nothing was used twice, 1
 * when something was, or a negative errno when there is no whole log: -ENOENT, ..., -ENODATA for an
 * empty one, -EBADMSG for a partial or impossible record.
 */
int noncelog_check(const char *path, FILE *out);

/* Counts the records of the log; 0 when there is none. */
size_t noncelog_count(const char *path);

#endif
