#!/bin/sh
# smbench without arguments: a column for each kind of memory files and one for the kernel's own, and nothing
# that it started or made is left, however it ends.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

smbench=${BUILD:?}/smbench
# Where a socket's address has room for the rest of the path.
tmp=$(mktemp -d /tmp/smbench-test.XXXXXX) || exit 1
trap 'rm -rf "$tmp"; clean_up' EXIT
TMPDIR=$tmp
export TMPDIR

# The processes whose command line has our directory in it: servers.
servers()
{
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -o "$tmp/[a-zA-Z0-9./]*sock"
}

# nothing_left WHAT
nothing_left()
{
	expect "$1: files left" '' "$(ls "$tmp")"
	expect "$1: servers left" '' "$(servers)"
}

"$smbench" >out 2>err
expect 'the table: exit status' 0 $?
expect 'the table: on standard error' '' "$(cat err)"
expect 'the table: its columns' ' smdish smuf smc fcntl + mmap' "$(sed -n 's/  */ /g; / smdish smuf smc /p' out)"
expect 'the table: rows of numbers' 9 "$(grep -cE '^ *[0-9]+ [KM]?i?B  .*( +[0-9]+\.[0-9]){8}$' out)"
expect 'the table: its width' '' "$(grep -E '^.{101}' out)"
expect_match 'the table: where host files are' "*in $tmp/smbench.*" "$(cat out)"
nothing_left 'the table'

"$smbench" -j >out
expect 'as JSON: rows with every kind' 9 "$(grep -c '"smdish": {.*"smuf": {.*"smc": {.*"fcntl_mmap": {' out)"

# interrupted SIGNAL STATUS
interrupted()
{
	"$smbench" >out 2>err &
	bench=$!
	started="$started $bench"
	await "$1: both servers" has_servers
	kill "-$1" $bench
	wait $bench
	expect "$1: exit status" "$2" $?
	nothing_left "$1"
}

has_servers()
{
	[ "$(servers | sort -u | wc -l)" -ge 2 ]
}

interrupted TERM 143
interrupted HUP 129

# The process that measures crashes.
"$smbench" >out 2>err &
bench=$!
started="$started $bench"
await 'both servers' has_servers
measurer()
{
	for pid in $(cat "/proc/$bench/task/$bench/children"); do
		[ "$(readlink "/proc/$pid/exe")" != "$(readlink "/proc/$bench/exe")" ] || return 0
	done
	return 1
}
await 'the one that measures' measurer
kill -KILL "$pid"
wait $bench
expect 'a crash: exit status' 137 $?
expect 'a crash: what it says' 'smbench: the measuring was ended by signal 9' "$(cat err)"
nothing_left 'a crash'

finish
