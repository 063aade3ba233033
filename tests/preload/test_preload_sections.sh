#!/bin/sh
# A plain POSIX program counts exactly on each kind of memory file, as it does on a plain file: over fork,
# in processes that meet, with threads, beside processes that are killed while they hold the lock, and as
# smbench, over all of a larger segment.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
program sections

# bench SIZE: smbench's sections of 3 processes, 200 each, which change every word of SIZE bytes in turn
bench()
{
	begun=$(date +%s%N)
	$run ./sections bench "$place/bench$1" 3 200 "$1" >bench 2>&1
	expect "$place: sections of $1 bytes: exit status" 0 $?
	elapsed=$(($(date +%s%N) - begun))
	expect "$place: sections of $1 bytes" 'critical sections: 600' "$(sed 's/,.*//' bench)"
	sed -n 's/.*, microseconds each: //p' bench | awk -v most="$elapsed" '{ seen = $1 > 0 && $1 * 600 * 1000 <= most } END { exit !seen }'
	expect "$place: sections of $1 bytes: a time above 0, all of which fit into $elapsed ns: $(cat bench)" 0 $?
}

for place in $work/plain $kinds; do
	run=$(how "$place")
	expect "$place: 4 children of 500 sections each" 2000 "$($run ./sections fork "$place/fork" 4 500 2>&1)"
	expect "$place: beside 6 that die with the lock" 1800 "$($run ./sections killed "$place/killed" 6 300 2>&1)"
	expect "$place: 16 threads of 200 sections each" 3200 "$($run ./sections threads "$place/threads" 16 200 2>&1)"
	# On a plain file flock(2) and F_OFD_SETLKW, which these threads take in turn, do not exclude each other.
	[ "$place" = "$work/plain" ] ||
	    expect "$place: 16 threads that open and close" 800 "$($run ./sections mixed "$place/mixed" 16 50 2>&1)"

	bench 20480
	bench 1048576

	# The file lives as long as a process has it open: one stays until the others have counted.
	mkfifo until
	$run ./sections hold "$place/meet" <until >held 2>&1 &
	holder=$!
	exec 8>until
	await "$place: one opens the file" has held open
	counting=
	for each in 1 2 3; do
		$run ./sections alone "$place/meet" 400 &
		counting="$counting $!"
	done
	for each in $counting; do
		wait "$each"
		expect "$place: a process that meets others: exit status" 0 $?
	done
	exec 8>&-
	wait "$holder"
	expect "$place: 3 processes of 400 sections each" 'open 1200' "$(tr '\n' ' ' <held | sed 's/ $//')"
	rm until
done
finish
