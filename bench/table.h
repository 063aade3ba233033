/*
 * table: what smbench prints without arguments: critical sections over
 * segments of growing size, with one byte and with all bytes changed, a
 * column for each kind of memory files, and beside them the same with the
 * kernel's own record lock and shared mapping.
 *
 * The right column is no competitor: it trusts the kernel with everything.
 * It is there to see what not trusting it costs.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>

/*
 * Make a world, measure and print, clean up.  An exit status, after saying
 * what went wrong.  This process is pinned to one core from then on.
 */
int table_run(bool is_json);

#endif
