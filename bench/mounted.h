/*
 * mounted: critical sections on memory files, through the client library.
 *
 * As the original did, it maps through one handle and locks through another.
 * To lock brings up to date, and to unlock publishes, what is mapped *of the
 * same memory file*: usually both paths are the same one.  With two different
 * ones it is a pure lock that is measured, beside memory that nobody shares.
 */
#ifndef BENCH_MOUNTED_H
#define BENCH_MOUNTED_H

#include "bench/section.h"
#include "common/client/smclient.h"

/*
 * Open both paths and map size bytes (0: none).  sm must live longer than the
 * section; sm_error() has the words for a failure, of section_measure() too.
 * -ENOENT if neither path is under a mount, -EXDEV if only one is; other
 * -errno of the library.  *out is then untouched.
 */
int mounted_open(struct section *out, struct sm *sm, const char *mempath, const char *lockpath,
    size_t size);

#endif
