#!/bin/sh
# smdishserver under systemd, without systemd: sockets that are passed (LISTEN_FDS), and word that it is ready
# (NOTIFY_SOCKET) and that it turns (WATCHDOG_USEC).

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

# start_with SOCKET... -- ARGUMENT...: as start, the sockets passed
start_with()
{
	: >log
	"$helper" pass "$@" 2>>log &
	pid=$!
	remember "$pid"
}

start_with unix:./passed -- "$server"
await 'a socket that is passed is served' answers unix ./passed
expect_match 'and told' '*listening on socket 3 of systemd (PLAINTEXT*' "$(cat log)"
end 'a socket that is passed'
expect 'a socket that is passed is not ours to remove' socket "$(stat -c %F passed)"
rm passed

start_with unix:./first unix:./second -- "$server" ./own
for name in first second own; do
	await "two that are passed and one of its own: $name" answers unix ./$name
done
end 'two that are passed and one of its own'
rm first second

start_with without-pid unix:./passed -- "$server" ./own
await "sockets for somebody else: its own is served" answers unix ./own
expect 'sockets for somebody else are left alone' '' "$(grep 'of systemd' log)"
end 'sockets for somebody else'
rm passed

# refused WHAT PATTERN SOCKET... -- ARGUMENT...
refused()
{
	what=$1
	pattern=$2
	shift 2
	timeout -k 1 "$patience" "$helper" pass "$@" 2>err
	expect "$what: exit status" 1 $?
	expect_match "$what" "*error: *$pattern*" "$(cat err)"
}

refused 'a file that is passed' 'socket 3 of systemd is not a listening*' file:./file -- "$server"
# Of several addresses one fails: nobody is told that the server listens.
refused 'a file beside a socket and an address' 'socket 4 of systemd is not a listening*' unix:./passed file:./file -- \
    "$server" ./own
expect 'a file beside a socket and an address: what is said' '' "$(grep 'listening on' err)"
rm -f passed
port=$("$helper" port)
refused 'a TCP socket that is passed, without -Z' 'socket 3 of systemd: plaintext over TCP is refused*' \
    "tcp:$port" -- "$server"

# READY=1 comes when it serves, not before: who hears it and connects is answered.
for where in ./notify @memserver-notify-$$; do
	: >heard
	"$helper" hear "$where" >heard &
	listener=$!
	remember "$listener"
	await "somebody listens at $where" has heard listening
	NOTIFY_SOCKET=$where
	case $where in
	./*) NOTIFY_SOCKET=$work/${where#./} ;;
	esac
	export NOTIFY_SOCKET
	start ./sock
	unset NOTIFY_SOCKET
	await "READY=1 at $where" has heard '^READY=1$'
	expect "READY=1 at $where: it serves" 0 "$(answers unix ./sock; echo $?)"
	end "the server that notifies $where"
	await "STOPPING=1 at $where" has heard '^STOPPING=1$'
	expect "all that was heard at $where" 'listening READY=1 STOPPING=1' "$(tr '\n' ' ' <heard | sed 's/ $//')"
	kill $listener
	wait $listener 2>/dev/null
done

# One that does not start is never ready; one that nobody hears starts all the same.
: >heard
"$helper" hear ./notify2 >heard &
listener=$!
remember "$listener"
await 'somebody listens' has heard listening
NOTIFY_SOCKET=$work/notify2
export NOTIFY_SOCKET
run ./none/sock
expect 'it does not start: exit status' 1 "$status"
# The listener hears in order: with this it has heard all that the server sent.
"$helper" send ./notify2 END
await 'the listener hears the end' has heard '^END$'
kill $listener
wait $listener 2>/dev/null
expect 'it does not start: READY=1 was not said' '' "$(grep READY heard)"
start ./sock
await 'nobody hears: it serves' answers unix ./sock
end 'nobody hears'

# start_watched PROCESS MICROSECONDS ARGUMENT...: as start, as systemd starts a service that it watches; PROCESS is own, no
# or another one
start_watched()
{
	: >"$work/log"
	WATCHDOG_PID=$1 WATCHDOG_USEC=$2 NOTIFY_SOCKET=$work/watch sh -c 'case $WATCHDOG_PID in
	own) WATCHDOG_PID=$$ ;;
	no) unset WATCHDOG_PID ;;
	esac
	shift 2
	exec "$@"' sh "$1" "$2" "$server" ./sock 2>>"$work/log" &
	pid=$!
	remember "$pid"
}

# Messages come again and again when they are wanted of this process, and else none.
has_several()
{
	[ "$(grep -c '^WATCHDOG=1$' heard)" -ge 3 ]
}
for row in 'own 100000 several' 'no 100000 several' 'own 9000000000000 one' \
    '1 100000 none' 'own 0 none' 'own -5 none' 'own 100ms none' 'own 99999999999999999999 none'; do
	# shellcheck disable=SC2086 # words
	set -- $row
	rm -f watch
	: >heard
	"$helper" hear ./watch >heard &
	listener=$!
	remember "$listener"
	await 'somebody watches' has heard listening
	start_watched "$1" "$2"
	await "watched ($row): it serves" answers unix ./sock
	[ "$3" != several ] || await "watched ($row): messages" has_several
	end "watched ($row)"
	await "watched ($row): it stops" has heard '^STOPPING=1$'
	came=$(grep -c '^WATCHDOG=1$' heard)
	case $3 in
	one) expect "watched ($row): messages" 1 "$came" ;;
	none) expect "watched ($row): messages" 0 "$came" ;;
	esac
	kill $listener
	wait $listener 2>/dev/null
done

# systemd has no room for messages: the loop does not wait for it, and the server ends.
rm -f watch
: >heard
"$helper" deaf ./watch >heard &
listener=$!
remember "$listener"
await 'somebody does not listen' has heard listening
start_watched own 20000
await 'nobody listens: it serves' answers unix ./sock
"$helper" fill ./watch
for _ in 1 2 3 4 5 6 7 8 9 10; do
	answers unix ./sock
	came=$?
	expect 'nobody listens: it serves all the time' 0 $came
	[ $came -eq 0 ] || break
	sleep 0.02
done
kill -TERM "$pid"
await 'nobody listens: it ends' ended "$pid"
kill $listener
wait "$pid"
expect 'nobody listens: exit status' 0 $?

finish
