/*
 * table: what smbench prints without arguments: critical sections on segments of growing size, with
 * one byte and with all bytes changed, in a column for each kind of memory file, and in the right
 * column with the kernel's own record lock and shared mapping.
 *
 * The right column is no competitor: it trusts the kernel with everything. Beside it the others
 * show the cost of not trusting the kernel.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>

/*
 * Makes a world, measures, prints, and cleans up. Returns an exit status, 1 after printing what
 * failed. Pins this process to one core for the rest of its life.
 */
int table_run(bool is_json);

#endif
