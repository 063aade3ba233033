#!/bin/sh
# What plain files pay for the library: at most 40 more instructions a call of open and close, fcntl, mmap
# and munmap, without a mount file, with one, and while a memory file is open.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
program plaincalls

has_counter || finish
head -c 4096 /dev/zero >file
few=1000
many=3000

# count COMMAND...: the instructions of the user's side
count()
{
	"$@" 2>&1 | sed -n 's/.*I *refs: *//p' | tr -d ,
}

# each VARIABLES CALL OTHER...: instructions of one round of CALL
each()
{
	variables=$1
	call=$2
	shift 2
	counter="valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null"
	# shellcheck disable=SC2086 # words
	less=$(count env $variables $counter ./plaincalls "$call" "$work/file" $few "$@")
	# shellcheck disable=SC2086 # words
	more=$(count env $variables $counter ./plaincalls "$call" "$work/file" $many "$@")
	echo $(((more - less) / (many - few)))
}

# judge WHAT CALL CALLS VARIABLES OTHER...: CALLS calls in a round. The two runs may differ otherwise, too, by what
# opening a memory file took: what is too much is counted again.
judge()
{
	what=$1
	call=$2
	calls=$3
	variables=$4
	shift 4
	for _ in 1 2 3; do
		with=$(each "$variables" "$call" "$@")
		extra=$(((with - base) / calls))
		[ "$extra" -gt 40 ] || break
	done
	echo "$call, $what: $extra instructions more for each of $calls calls ($base without the library)"
	[ "$extra" -le 40 ]
	expect "$call, $what: at most 40 more instructions, but $extra" 0 $?
}

for pair in open:2 fcntl:1 mmap:2; do
	call=${pair%:*}
	base=$(each '' "$call")
	judge 'no mount file' "$call" ${pair#*:} "LD_PRELOAD=$library SM_CONF="
	judge 'a mount file' "$call" ${pair#*:} "LD_PRELOAD=$library"
	judge 'a memory file is open' "$call" ${pair#*:} "LD_PRELOAD=$library" /sm/smc/open
done
finish
