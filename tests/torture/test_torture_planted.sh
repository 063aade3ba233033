#!/bin/sh
# A thread that takes no lock: torture finds it over each kind of memory files, and the same seed has it in the
# same step again. After a fault, and after SIGINT, no process and no file is left.
set -u
: "${SRC:=$(pwd)}" "${BUILD:=$SRC/build}" "${TMPDIR:=/tmp}"
# shellcheck source=tests/system/check.sh
. "$SRC/tests/system/check.sh"
work=$(mktemp -d "$TMPDIR/XXXXXX") || exit 1
trap 'kill $pid 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
pid=
program=$(readlink -f "$BUILD/torture")
mkdir "$work/tmp"

# What torture leaves behind: names of files, and processes of its program that work below $work.
left()
{
	ls -A "$work/tmp"
	ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n "s,.* \(/proc/[0-9]*\)/exe -> $program\$,\1,p" |
	    while read -r process; do
		grep -qzx "TMPDIR=$work/tmp" "$process/environ" 2>/dev/null && echo "$process"
	done
}

# plays SEED: one round with the planted fault
plays()
{
	TMPDIR=$work/tmp "$BUILD/torture" --rounds 1 --plant --seed "$1" >"$work/out" 2>&1
	expect "seed $1: the exit status" 1 $?
	out=$(cat "$work/out")
	expect_match "seed $1: the complaint" "*torture: FAULT: *" "$out"
	expect_match "seed $1: the command that repeats it" "*make check-torture SEED=$1 *" "$out"
	expect_match "seed $1: the adversary" "*torture: what the adversary did last:*" "$out"
	[ $(($1 % 3)) = 2 ] || expect_match "seed $1: the server's verbose log" "*: connected, *" "$out"
	expect "seed $1: what is left" "" "$(left)"
	planted=$(grep '^planted: ' "$work/out")
}

# A multiple of 3, and the next two numbers: a round of smdish, one of smuf, one of smc.
for seed in 300 301 302; do
	plays $seed
	first=$planted
	expect_match "seed $seed: the planted fault" "planted: process * takes no lock from step * on" "$first"
	plays $seed
	expect "seed $seed again: the planted fault" "$first" "$planted"
done

# SIGINT while the first round is played, with a server
TMPDIR=$work/tmp "$BUILD/torture" --seed 300 >"$work/out" 2>&1 &
pid=$!
until=$(($(date +%s) + $("$BUILD/patience" 10)))
while ! ls "$work"/tmp/*/*/socket >"$work/socket" 2>&1 && [ "$(date +%s)" -lt $until ]; do
	sleep 0.01
done
kill -INT $pid
wait $pid
expect "the exit status after SIGINT" 130 $?
expect "what is left after SIGINT" "" "$(left)"
pid=
finish
