#!/bin/sh
# tests/nonces/check finds key stream that was used twice, and refuses a file that is no log.
set -u
: "${SRC:=$(pwd)}" "${CC:=cc}" "${TMPDIR:=/tmp}"
work=$(mktemp -d "$TMPDIR/check.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086 # CC and its flags are words
$CC -std=c11 -D_GNU_SOURCE -O1 -I"$SRC" -o "$work/check" "$SRC/tests/nonces/check.c" || exit 1
log=$work/log
failed=0

# Appends a record: two letters for key and nonce, and two numbers below 256.
record()
{
	head -c 16 /dev/zero | tr '\0' "$1"
	head -c 12 /dev/zero | tr '\0' "$2"
	# The low byte comes first: the machines are x86.
	# shellcheck disable=SC2059
	printf "\\$(printf %o "$3")\\0\\0\\0\\$(printf %o "$4")\\0\\0\\0"
	head -c 28 /dev/zero
} >>"$log"

# expect STATUS PATTERN WHAT: check exits with STATUS, and a line of its output matches.
expect()
{
	"$work/check" "$log" >"$work/out" 2>&1
	status=$?
	if [ $status -ne "$1" ] || ! grep -q "$2" "$work/out"; then
		echo "$3: expected exit status $1 and '$2', got $status and:"
		cat "$work/out"
		failed=1
	fi
	rm -f "$log"
}

expect 2 'No such file' 'no log'
: >"$log"
expect 2 'nothing was logged' 'an empty log'
record K n 0 1
printf x >>"$log"
expect 2 'partial record' 'a partial record'
record K n 0 0
expect 2 'record 0 uses 0 units' 'a record of nothing'
record K n 0 1
expect 0 '^1 uses of key stream under 1 keys, no nonce twice$' 'one use'

record K n 16 16
record L n 0 1
record K m 0 1
record K n 0 16
record K n 32 1
expect 0 '^5 uses of key stream under 2 keys, no nonce twice$' 'neighbours, and equal nonces under two keys'

record K n 0 1
record L n 0 1
record K m 5 1
record K n 0 1
expect 1 '^used twice: key 4b4b.* nonce 6e6e.*: units 0 to 0, and 0 to 0$' 'the same nonce'
record K n 0 16
record K n 15 1
expect 1 'units 0 to 15, and 15 to 15' 'an overlap by one'
# The first range reaches over the second to the third.
record K n 20 1
record K n 0 30
record K n 5 2
expect 1 '^3 uses of key stream under 1 keys, 2 of them again$' 'a range within a range'
exit $failed
