#!/bin/sh
# smbench --probe prints a line for each fact. smbench without arguments prints a column for each kind
# of memory file and one for the kernel's own files, and leaves no process and no file behind, whether
# it finishes, a signal ends it, or its measuring process crashes.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

smbench=${BUILD:?}/smbench
# smbench takes no TMPDIR above 40 bytes, so that a socket's address has room for the rest of the path.
tmp=$(mktemp -d "${TMPDIR:-/tmp}/b.XXXXXX") || exit 1
trap 'rm -rf "$tmp"; clean_up' EXIT
TMPDIR=$tmp
export TMPDIR

# Prints the sockets on the command lines of servers that run below $tmp.
servers()
{
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -o "$tmp/[a-zA-Z0-9./]*sock"
}

# nothing_left WHAT: no file of smbench and no server is left
nothing_left()
{
	expect "$1: files left" '' "$(ls "$tmp")"
	expect "$1: servers left" '' "$(servers)"
}

"$smbench" --probe "$tmp" "$tmp" >out 2>err
expect '--probe: exit status, errors' '0 ' "$? $(cat err)"
expect '--probe: facts of the system, and of each directory' 21 "$(grep -cE '^  [a-zA-Z].* (yes$|no   [(].+: .+[)]$)' out)"
expect '--probe: pread in each directory' 2 "$(grep -cE '^  pread[(]2[)].* yes$' out)"
nothing_left '--probe'
"$smbench" --probe "$tmp/none" >out 2>err
expect '--probe of no directory: exit status' 1 $?
expect '--probe of no directory' "smbench: $tmp/none: No such file or directory" "$(cat err)"

# A disk of which less is left than the file of the probe needs.
# shellcheck disable=SC2016 # the inner shell's
full='mount -t tmpfs -o size=40k none "$2" && mkdir "$2/d" || exit 77
cat /dev/zero >"$2/d/zeros" 2>/dev/null
[ "$3" = 0 ] || truncate -s "-$3" "$2/d/zeros" || exit 77
"$1" --probe "$2/d"
status=$?
[ "$(ls -A "$2/d")" = zeros ] || ls -A "$2/d" >&2
exit $status'
for left in 0 4096; do
	unshare -m sh -c "$full" sh "$smbench" "$tmp" $left >out 2>err
	status=$?
	if [ $status -eq 77 ] || grep -q '^unshare:' err; then
		echo 'skipped: no disk can be mounted here'
	else
		expect "--probe of a full disk, $left bytes left: exit status" 1 $status
		expect "--probe of a full disk, $left bytes left" "smbench: $tmp/d: No space left on device" "$(cat err)"
	fi
done
"$smbench" --probe -j >out 2>err
expect '--probe -j: exit status' 2 $?

# A path may have any bytes; JSON has to be UTF-8. Both programs escape them alike, and the manual names all members.
path=$(printf 'a\377\303\251"\\\001')
: >"./$path"
"$smbench" -j "$path" lock 0 10 >json
expect '-j and a path that is no text: exit status' 0 $?
cat >members.py <<'END'
import json
import re
import sys

with open("json", encoding="utf-8") as file:
    came = json.load(file)
print(came["mempath"])
with open(sys.argv[1], encoding="utf-8") as file:
    text = re.search(r"^\.Ss JSON\n(.*?)^The object of the table", file.read(), re.M | re.S)[1]
named = {word for line in re.findall(r"^\.Va (.*)$", text, re.M) for word in line.split() if len(word) > 1}
print(sorted(named ^ set(came)))
END
expect '-j and a path that is no text; members that the manual has not, or -j' 'a\xff\xc3\xa9"\\\x01
[]' "$(python3 members.py "$SRC/bench/smbench.1" 2>&1)"

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

# interrupted SIGNAL STATUS: smbench ends with STATUS after SIGNAL, and leaves nothing behind
interrupted()
{
	"$smbench" >out 2>err &
	bench=$!
	remember "$bench"
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

# The measuring process crashes.
"$smbench" >out 2>err &
bench=$!
remember "$bench"
await 'both servers' has_servers
measurer()
{
	for pid in $(cat "/proc/$bench/task/$bench/children"); do
		[ "$(readlink "/proc/$pid/exe")" != "$(readlink "/proc/$bench/exe")" ] || return 0
	done
	return 1
}
await 'the measuring process' measurer
kill -KILL "$pid"
wait $bench
expect 'a crash: exit status' 137 $?
expect 'a crash: on standard error' 'smbench: the measuring was ended by signal 9' "$(cat err)"
nothing_left 'a crash'

finish
