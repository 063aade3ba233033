/*
 * table: the output of smbench without arguments: the cost of critical sections on segments of
 * growing size, with one byte and with all bytes changed. There is a column for each kind of memory
 * file, and on the right one for the kernel's own record lock and shared mapping.
 *
 * The right column is no competitor: it trusts the kernel with everything. Beside it the others
 * show the cost of not trusting the kernel.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>

/*
 * Makes a world, measures, prints, and cleans up. Returns an exit status, 1 after printing the
 * failure. Pins this process to one core for the rest of its life.
 */
int table_run(bool is_json);

#endif
