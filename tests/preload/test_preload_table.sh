#!/bin/sh
# The table of calls and situations (conform_*.c), run on a plain file and on each kind of memory file: they
# answer the same, except for what smpreload(7) lists under DIFFERENCES; and that list has nothing else.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized
program conform "$SRC"/tests/preload/conform_*.c

# differences KIND: the rows that differ from the plain file's, as smpreload(7) writes them
differences()
{
	paste -d '|' plain.rows "$1.rows" | awk -F '|' '$1 != $2 {
		row = $1
		sub(/: .*/, "", row)
		sub(/^[^:]*: /, "", $1)
		sub(/^[^:]*: /, "", $2)
		print row ": " $2 ", not " $1
	}' | sort
}

bare ./conform "$work/plain" >plain.rows
expect 'the plain file: exit status' 0 $?
[ "$(wc -l <plain.rows)" -ge 60 ]
expect 'the table has 60 rows or more' 0 $?
for place in $kinds; do
	kind=${place#/sm/}
	preloaded ./conform "$place" >"$kind.rows" 2>"$kind.lines"
	expect "$kind: exit status" 0 $?
	differences "$kind" >"$kind.differences"
done

page=$SRC/common/preload/smpreload.7
for pair in dish=smdish muf=smuf smc=smc; do
	kind=${pair%=*}
	awk -v kind=${pair#*=} -f "$SRC/tests/preload/differences.awk" "$page" | sort >$kind.documented
	expect "$kind: < is in smpreload(7) only, > is what differs" '' "$(diff $kind.documented $kind.differences)"
done

# A line says what was asked, in each program: each row is one.
for row in $(sed -n 's/^\.It \(read .*\): EBADF, not 0$/\1/p' "$page"); do
	expect_match "$row: a line" "*libsmpreload: conform?*?: /sm/dish/$row: *: a memory file is used by mmap() and locks only*" \
	    "$(cat dish.lines)"
done
finish
