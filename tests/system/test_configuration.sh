#!/bin/sh
# The configuration file of the servers (-f): each option in it does what it does on the command
# line, which wins; relative paths begin at its directory.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
umask 022
mkdir etc etc/mem || exit 1
"$mkpki" init etc/pki >/dev/null && "$mkpki" server etc/pki server >/dev/null &&
    "$mkpki" client etc/pki boss >/dev/null || exit 1

# conf LINE...: makes etc/conf
conf()
{
	printf '%s\n' "$@" >etc/conf
}

# Every name that --help has is a name of the file, but for three; so no option is left out.
for each in smdishserver smufserver; do
	server=$BUILD/$each
	run --help
	sed -n 's/^\(-., \)*--\([a-z-]*\).*/\2/p' out | sort >names
	expect "$each: names in --help, at least" yes "$([ "$(wc -l <names)" -ge 18 ] && echo yes || cat names)"
	: >refused
	while read -r name; do
		conf "$name a b c d"
		run -f etc/conf ./sock
		expect "$each: $name: exit status" 2 "$status"
		case $err in
		*'there is no such option'*) echo "no $name" >>refused ;;
		*'is for the command line only') echo "$name" >>refused ;;
		*'etc/conf:1:'*': expected: '"$name "* | *'etc/conf:1:'*": $name takes no value") ;;
		*) echo "$name: $err" >>refused ;;
		esac
	done <names
	expect "$each: names that are not for the file" 'config help version ' "$(tr '\n' ' ' <refused)"
done
server=$BUILD/smdishserver

# Paths begin at the directory of the file; words are those of a mount file.
WHERE=pki
export WHERE
conf '# the server of this test' 'address sock # a comment' "	address  unix:other" \
    'tls $WHERE/root.crt ${WHERE}/server.crt pki/server.key' 'log server.log' 'pid-file pid' \
    'socket-mode 0600' 'verbose' 'operators boss' 'session-limit 7' 'lease 5000' 'total-limit 64M' \
    'segment-limit 1M' 'memory-limit 16M' 'poll 50'
start -f etc/conf
await 'a file: it serves' has etc/server.log 'listening on unix:etc/other (TLS, client certificates required)'
expect_match 'a file: the first address' '*listening on unix:etc/sock (TLS*' "$(cat etc/server.log)"
expect 'a file: the mode of its sockets' 'socket 600 socket 600' "$(echo $(stat -c '%F %a' etc/sock etc/other))"
expect 'a file: its pid' "$pid" "$(cat etc/pid)"
expect 'a file: nothing on standard error' '' "$(cat log)"
"$BUILD/smstat" -j -i 0 -Z etc/pki/root.crt etc/pki/boss.crt etc/pki/boss.key ./etc/sock >stat 2>&1
expect 'a file: its operator may ask' 0 $?
expect 'a file: its limits' '"segments_limit":67108864 "memory_limit":16777216' \
    "$(echo $(grep -o '"\(segments\|memory\)_limit": *[0-9]*' stat | tr -d ' '))"
end 'a file'

# The command line wins, option by option; an address there replaces all of the file's.
conf 'address sock' 'address tcp:127.0.0.1:1' 'tls pki/root.crt pki/server.crt pki/server.key' \
    'log file.log' 'socket-mode 600' 'operators nobody'
start -l own.log -M 666 --operators boss -f etc/conf ./own
await 'the command line: it serves' has own.log 'listening on ./own (TLS'
expect 'the command line: its mode' 666 "$(stat -c %a own)"
expect "the command line: the file's address and log are not used" '' "$(ls etc/sock etc/file.log 2>/dev/null)"
"$BUILD/smstat" -j -i 0 -Z etc/pki/root.crt etc/pki/boss.crt etc/pki/boss.key ./own >stat 2>&1
expect 'the command line: its operators' 0 $?
end 'the command line'
# What it replaces is checked all the same.
conf 'socket-mode 999'
run -M 600 -f etc/conf ./own
expect 'a value that is replaced: exit status' 2 "$status"
expect_match 'a value that is replaced' '*etc/conf:1:13: socket-mode 999: expected an octal mode, such as 660' "$err"

# A file in the working directory; an abstract name is no path; the words of the file stand alone.
printf '%s\n' abstract "address memserver-conf-$$" >here.conf
start --config here.conf
await 'abstract in a file: it serves' answers padded memserver-conf-$$
end 'abstract in a file'
printf '%s\n' 'address ./here' >here.conf
start --config=here.conf
await 'a file in the working directory: it serves' answers unix ./here
end 'a file in the working directory'
server=$BUILD/smufserver
conf 'memdir mem' 'address sock'
start -f etc/conf
await 'smufserver: it serves' answers unix ./etc/sock
expect 'smufserver: its directory' .smufserver.lock "$(ls -A etc/mem)"
end 'smufserver'
server=$BUILD/smdishserver

finish
