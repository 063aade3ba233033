#!/bin/sh
# SM_STATS=1: each process of an unmodified program says at its end what it did with each memory file, on standard
# error or where SM_LOG says. It costs a section at most 120 instructions.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
program sections

# counts PATH: the sections and the published blocks of each line about it, sorted
counts()
{
	sed -n "s|^libsmclient: sections\[[0-9]*\]: $1: \([0-9]*\) exclusive and \([0-9]*\) shared sections, published [0-9]* bytes in \([0-9]*\) blocks, received [0-9]* bytes in [0-9]* blocks, waited [0-9]* times for [0-9.]* s, at most [0-9.]* s\$|\1 \2 \3|p" |
	    sort | tr '\n' ';'
}

for place in $kinds; do
	SM_STATS=1 preloaded ./sections alone "$place/alone" 400 2>lines
	expect "$place: exit status" 0 $?
	# A section changes the counter, and its copy in another block.
	expect "$place: a process of 400 sections" '400 0 800;' "$(counts "$place/alone" <lines)"
	expect "$place: no other line" 1 "$(wc -l <lines)"

	SM_STATS=1 SM_LOG=$work/log-of-lines preloaded ./sections fork "$place/fork" 3 50 >out 2>lines
	expect "$place: with SM_LOG: exit status" 0 $?
	expect "$place: standard error, with SM_LOG" '' "$(cat lines)"
	expect "$place: a parent that reads, and 3 children, which end with _exit(2) and say nothing" '0 1 0;' \
	    "$(counts "$place/fork" <log-of-lines)"
	rm log-of-lines

	SM_STATS=1 SM_LOG=$work/none/log preloaded ./sections alone "$place/alone" 2 2>lines
	expect "$place: SM_LOG cannot be opened" '2 0 4;' "$(counts "$place/alone" <lines)"
	for off in SM_STATS=0 SM_STATS= 'SM_STATS=1 SM_LOG=off' SM_LOG=; do
		# shellcheck disable=SC2086 # words
		expect "$place: $off" '' "$(preloaded env $off ./sections alone "$place/alone" 2 2>&1)"
	done
done

has_counter || finish

# instructions SECTIONS VARIABLE...: of a process with so many sections
instructions()
{
	sections=$1
	shift
	env LD_PRELOAD="$library" SM_LOG=/dev/null "$@" valgrind --tool=cachegrind --cache-sim=no \
	    --cachegrind-out-file=/dev/null ./sections alone /sm/smc/cost "$sections" 2>&1 |
	    sed -n 's/.*I *refs: *//p' | tr -d ,
}

# each VARIABLE...: instructions of one section
each()
{
	less=$(instructions 1000 "$@")
	more=$(instructions 3000 "$@")
	echo $(((more - less) / 2000))
}

without=$(each)
extra=$(($(each SM_STATS=1) - without))
echo "a section of smc takes $without instructions, and $extra more when they are counted"
[ "$extra" -le 120 ]
expect 'at most 120 instructions more' 0 $?
finish
