#!/bin/sh
# The life of smdishserver: sockets in the way, pid file, daemon, log, signals, several addresses.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# refused WHAT PATTERN ARGUMENT...: it does not start, and logs the reason
refused()
{
	name=$1
	pattern=$2
	shift 2
	run "$@"
	expect "$name: exit status" 1 "$status"
	expect_match "$name" "*error: *$pattern*" "$err"
}

# The socket.

for mask in 000 022 077; do
	umask $mask
	start ./sock
	await "umask $mask: it serves" answers unix ./sock
	expect "umask $mask: type and mode of the socket" 'socket 660' "$(stat -c '%F %a' sock)"
	end "umask $mask"
	expect "umask $mask: the socket is gone" no "$([ -e sock ] && echo yes || echo no)"
done
umask 022

start ./sock
await 'before SIGINT: it serves' answers unix ./sock
kill -INT $pid
wait $pid
expect 'SIGINT: exit status' 0 $?
expect 'SIGINT: the socket is gone' no "$([ -e sock ] && echo yes || echo no)"

start ./sock
await 'before kill -9: it serves' answers unix ./sock
kill -KILL $pid
wait $pid 2>/dev/null
expect 'kill -9 leaves a socket' 'socket' "$(stat -c %F sock)"
start ./sock
await 'a stale socket is replaced' answers unix ./sock
expect 'and is now one with the right mode' 660 "$(stat -c %a sock)"

refused 'a live socket' 'cannot listen on ./sock: *in use*' ./sock
expect 'a live socket stays' 'socket' "$(stat -c %F sock)"
expect 'and its server serves on' 0 "$(answers unix ./sock; echo $?)"
refused 'a live socket as the second address' 'cannot listen on ./sock: *in use*' ./other ./sock
expect 'the first address was given up again' no "$([ -e other ] && echo yes || echo no)"
end 'the server whose socket was wanted by others'

echo precious >file
mkdir directory
ln -s file link
ln -s nothing dangling
for what in file directory link dangling; do
	refused "a $what in the way" "cannot listen on ./$what: *" ./$what
done
expect 'the file is as it was' precious "$(cat file)"
expect 'the links are as they were' 'file nothing' "$(readlink link) $(readlink dangling)"
refused 'a directory that is not there' 'cannot listen on ./none/sock: No such file*' ./none/sock

# The pid file.

start -p ./pid ./sock
await 'with -p: it serves' answers unix ./sock
expect '-p: the file has the process' "$pid" "$(cat pid)"
refused 'the same pid file' "./pid: *$pid*running*" -p ./pid ./other
expect 'the same pid file: no socket was made' no "$([ -e other ] && echo yes || echo no)"
expect 'the same pid file: it is as it was' "$pid" "$(cat pid)"
end 'the server with a pid file'
expect 'the pid file is gone' no "$([ -e pid ] && echo yes || echo no)"
start -p ./pid ./sock
await 'with -p, before kill -9: it serves' answers unix ./sock
kill -KILL $pid
wait $pid 2>/dev/null
start -p ./pid ./sock
await 'the pid file of a dead server is no obstacle' answers unix ./sock
expect 'it has the new process' "$pid" "$(cat pid)"
end 'the server with a pid file that was there'
refused 'a pid file where none can be' './none/pid: No such file*' -p ./none/pid ./sock
# A pid file that cannot be written: it is named, and nobody is told that the server listens.
for options in '' -d; do
	# shellcheck disable=SC2086 # none or one
	said=$(ulimit -f 0; "$server" $options -p ./pid ./sock 2>&1)
	expect "a pid file that cannot be written, '$options': exit status" 1 $?
	expect_match "a pid file that cannot be written, '$options'" \
	    '*: not started: -p: cannot write the pid file ./pid: File too large' "$said"
	expect "a pid file that cannot be written, '$options': lines" 1 "$(printf '%s\n' "$said" | grep -c .)"
	expect "a pid file that cannot be written, '$options': what is left" '' "$(ls pid sock 2>/dev/null)"
done

# Several servers at the same moment, with a stale socket: one serves, and the others report that.

# decided COUNT: that many servers listen or have given up
# shellcheck disable=SC2317 # await calls it
decided()
{
	[ "$(cat race.* 2>/dev/null | grep -c 'listening on\|not started')" -eq "$1" ]
}

round=0
while [ $round -lt 40 ]; do
	round=$((round + 1))
	start ./sock
	await 'before the race: it serves' answers unix ./sock
	kill -KILL $pid
	wait $pid 2>/dev/null
	rm -f race.*
	racers=
	for each in 1 2 3 4 5 6 7 8; do
		"$server" ./sock 2>race.$each &
		racers="$racers $!"
	done
	# shellcheck disable=SC2086 # several
	remember $racers
	await 'the race: all have decided' decided 8
	winners=$(cat race.* | grep -c 'listening on')
	await 'the race: the winner serves' answers unix ./sock
	for each in $started; do
		is_another "$each" || kill -TERM "${each%:*}" 2>/dev/null
	done
	started=
	# shellcheck disable=SC2086 # several
	wait $racers 2>/dev/null
	expect "race $round: servers that listen on one socket" 1 "$winners"
	expect "race $round: the socket is gone with its server" no "$([ -e sock ] && echo yes || echo no)"
	rm -f sock
	[ "$winners" = 1 ] || break
done

# A server removes the socket that it made, not a later one of another process.

start ./sock
first=$pid
await 'the first one serves' answers unix ./sock
mv sock moved
start ./sock
await 'the second one serves' answers unix ./sock
second=$pid
pid=$first
end 'the first one'
expect "the second one's socket is there still" 0 "$(answers unix ./sock; echo $?)"
pid=$second
end 'the second one'
rm -f moved

# The daemon: ready when the parent returns, every time, with a valid pid file. On one processor the
# parent often returns before the daemon has done anything more.

pin='taskset -c 0'
$pin true 2>/dev/null || pin=
round=0
while [ $round -lt 60 ]; do
	round=$((round + 1))
	$pin "$server" -d -p ./pid -l ./daemon.log ./sock >out 2>err
	status=$?
	pid=$(cat pid)
	answers unix ./sock
	served=$?
	expect "-d, round $round: exit status, standard output, standard error, answer" '0;;;0' \
	    "$status;$(cat out);$(cat err);$served"
	expect_match "-d, round $round: the pid file when the parent has returned" '[1-9]*' "$pid"
	await '-d: the pid file is written at last' test -s ./pid
	[ -n "$pid" ] || round=60
	pid=$(cat pid)
	remember "$pid"
	kill -TERM "$pid"
	await '-d: it ends after SIGTERM' ended "$pid"
	expect '-d: nothing is left' no "$([ -e sock ] || [ -e pid ] && echo yes || echo no)"
done
expect_match '-d: the log' '*listening on ./sock*' "$(cat daemon.log)"
# No descriptor stays open: this ends when the daemon has closed the pipe.
said=$("$server" -d -p ./pid ./sock 2>&1)
expect_match '-d without -l: what was said before' '*listening on ./sock*' "$said"
await '-d without -l: it serves' answers unix ./sock
await '-d without -l: its pid file' test -s ./pid
pid=$(cat pid)
remember "$pid"
read -r _ _ _ _ _ session terminal _ <"/proc/$pid/stat"
expect '-d: it has a session of its own and no terminal' "$pid 0" "$session $terminal"
run -d ./sock
expect '-d on a live socket: exit status' 1 "$status"
expect_match '-d on a live socket: the parent says why' '*cannot listen on ./sock*' "$err"
kill -TERM "$pid"
await '-d without -l: it ends' ended "$pid"

# Closed standard streams: no file of the daemon gets their numbers.

"$server" -d -p ./pid -l ./closed.log ./sock <&- >&- 2>&-
expect '-d, standard streams closed: exit status' 0 $?
await '-d, standard streams closed: its pid file' test -s ./pid
pid=$(cat pid)
remember "$pid"
refused '-d, standard streams closed: its pid file is locked' "./pid: *$pid*running*" -p ./pid ./other
kill -TERM "$pid"
await '-d, standard streams closed: it ends' ended "$pid"
expect_match '-d, standard streams closed: the log to the end' '*stopping*' "$(cat closed.log)"

# The log.

start -v -l ./server.log ./sock
await '-l: it serves' answers unix ./sock
expect '-l: nothing goes to standard error' '' "$(cat log)"
expect_match '-l: lines have time, program, process' \
    "20[0-9][0-9]-*T*Z smdishserver[[]$pid] listening on ./sock (PLAINTEXT*)" "$(head -n 1 server.log)"
await '-l: the peer has left' has server.log 'disconnected'
mv server.log server.log.1
before=$(wc -l <server.log.1)
kill -HUP $pid
await 'SIGHUP: the log is opened again' has server.log 'SIGHUP'
answers unix ./sock
await 'SIGHUP: what follows is in the new log' has server.log 'connected'
expect 'SIGHUP: the old log is as it was' "$before" "$(wc -l <server.log.1)"
# When the log cannot be opened again the server keeps the old one.
mv server.log server.log.2 && mkdir server.log
kill -HUP $pid
await 'SIGHUP, and the log cannot be opened' has server.log.2 'error: cannot reopen the log'
expect 'it serves on' 0 "$(answers unix ./sock; echo $?)"
end 'the server with a log'
start -v -l /dev/full ./sock
await 'a log on a full disk: it serves' answers unix ./sock
expect 'a log on a full disk: it serves on' 0 "$(answers unix ./sock; echo $?)"
end 'a log on a full disk'
unlimited=$(ulimit -S -f)
ulimit -S -f 1
start -v -l ./limited.log ./sock
ulimit -S -f "$unlimited"
await 'a log that may not grow: it serves' answers unix ./sock
round=0
while [ $round -lt 10 ]; do
	round=$((round + 1))
	expect 'a log that may not grow: it serves on' 0 "$(answers unix ./sock; echo $?)"
done
end 'a log that may not grow'
mkfifo fifo
refused 'a log that nobody reads' 'cannot open the log ./fifo: No such device*' -l ./fifo ./sock
exec 3<>fifo
start -v -l ./fifo ./sock 3<&-
await 'a log that is read: it serves' answers unix ./sock
exec 3<&-
expect 'a log whose reader is gone: it serves on' 0 "$(answers unix ./sock; echo $?)"
end 'a log whose reader is gone'
refused 'a log where none can be' 'cannot open the log ./none/log: No such file*' -l ./none/log ./sock

# Several addresses.

name=memserver-test-$$
start unix:./sock ./sock2 abstract:$name pipe:$$
await 'several addresses: the first' answers unix ./sock
expect 'a path' 0 "$(answers unix ./sock2; echo $?)"
expect 'an abstract name' 0 "$(answers abstract $name; echo $?)"
expect 'and exactly that' 1 "$(answers padded $name; echo $?)"
expect "Phoenix's pipe" 0 "$(answers padded "/graphene/123456/$(printf %08x $$)"; echo $?)"
expect 'each is told' 4 "$(grep -c 'listening on .* (PLAINTEXT' log)"
end 'several addresses'
expect 'all are gone' '1 1 1' \
    "$(answers unix ./sock; echo $?) $(answers unix ./sock2; echo $?) $(answers abstract $name; echo $?)"
start -a /$name unix:./sock
await '-a: a plain path is a padded abstract name' answers padded /$name
expect '-a: and not one of its own length' 1 "$(answers abstract /$name; echo $?)"
expect '-a: unix: is a path still' 0 "$(answers unix ./sock; echo $?)"
end '-a'

"$mkpki" init pki >/dev/null && "$mkpki" server pki server >/dev/null &&
    "$mkpki" client pki client >/dev/null || exit 1
port=$("$helper" port)
start -b 50 -c 10 -m 64M -s 1M -t 5000 -Z pki/root.crt pki/server.crt pki/server.key ./sock \
    "tcp:127.0.0.1:$port"
await 'TLS, unix and TCP: both are told' has log "listening on tcp:127.0.0.1:$port (TLS"
for where in '-unix ./sock' "-connect 127.0.0.1:$port"; do
	# shellcheck disable=SC2086 # two words
	expect "TLS $where" 'Verify return code: 0 (ok)' "$(openssl s_client $where -CAfile pki/root.crt \
	    -cert pki/client.crt -key pki/client.key </dev/null 2>/dev/null | grep -m 1 -o 'Verify return code: .*')"
done
end 'TLS, unix and TCP'
expect 'TLS, unix and TCP: nobody listens any more' '1 1' \
    "$(answers unix ./sock; echo $?) $(answers tcp 127.0.0.1 "$port"; echo $?)"

# Port 0: the log has the ports that the system chose, one for each address of the host.
start -Z pki/root.crt pki/server.crt pki/server.key tcp:127.0.0.1:0 'tcp:*:00'
await 'port 0: it serves' has log 'listening on tcp:0.0.0.0:[1-9][0-9]* (TLS, client certificates required)'
cp log lines
expect 'port 0: the first address is told first' tcp:127.0.0.1 \
    "$(sed -n '1s/.*listening on \(.*\):[1-9][0-9]* (TLS.*/\1/p' lines)"
sed -n 's/.*listening on tcp:\(.*\) (TLS.*/\1/p' lines | sed 's/^0\.0\.0\.0:/127.0.0.1:/;s/^\[::]:/[::1]:/' >told
expect 'port 0: addresses that are told' "$(grep -c 'listening on' lines)" "$(grep -c . told)"
while read -r address; do
	expect "port 0: TLS at $address" 'Verify return code: 0 (ok)' "$(openssl s_client -connect "$address" \
	    -CAfile pki/root.crt -cert pki/client.crt -key pki/client.key </dev/null 2>/dev/null |
	    grep -m 1 -o 'Verify return code: .*')"
done <told
end 'port 0'

finish
