#!/bin/sh
# The product's programs where the system answers as in a library OS (launch.c), over TCP: servers,
# and clients inside, outside and mixed. Each function below whose name stands in tests is one test.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

tests='smdish_starts_serves_and_stops smdish_counts smuf_counts smuf_counts_through_mappings
larger_in_the_next_life a_second_smufserver_stays_out a_dead_smufserver_is_followed
a_replaced_smufserver_stops smufserver_refuses_untrusted_shm no_pid_file a_unix_socket_is_unheard_of
certificates_are_loaded_again smbench_measures smbench_says_what_it_cannot_measure'

# The sanitizers' libraries have to be the first ones.
case ${VARIANT:-} in
asan | tsan)
	echo "skipped: no library can be preloaded before a sanitizer's"
	exit 0
	;;
esac

libos=$BUILD/libos
counter=$BUILD/counter
"$libos" /bin/true
[ $? -ne 77 ] || exit 0

{ "$mkpki" init pki && "$mkpki" server pki server && "$mkpki" server pki other &&
    "$mkpki" client pki client; } >/dev/null || exit 1
keys='-Z pki/root.crt pki/server.crt pki/server.key'

# inside COMMAND...: runs it as in a library OS
inside()
{
	"$libos" "$@"
}

# with_shm COMMAND...: the same, with memdir as untrusted_shm
with_shm()
{
	LIBOS_SHM=$work/memdir "$libos" "$@"
}

# serve PROGRAM ARGUMENT...: starts a server inside, at $port
serve()
{
	program=$1
	shift
	port=$("$helper" port)
	: >log
	# shellcheck disable=SC2086 # several words
	"$libos" "$BUILD/$program" $keys "$@" "tcp:127.0.0.1:$port" 2>>log &
	pid=$!
	started="$started $pid"
	await "$program starts" has log "listening on tcp:127.0.0.1:$port"
}

# mounts FILE URI TYPE: writes a mount file for /m
mounts()
{
	printf 'MOUNT %s /m %s name=server\nCAFILE pki/root.crt\nCERTFILE pki/client.crt\nKEYFILE pki/client.key\n' \
	    "$2" "$3" >"$1"
}

serve_smdish()
{
	serve smdishserver
	mounts conf "tcp:127.0.0.1:$port" smdish
}

serve_smuf()
{
	rm -rf memdir
	mkdir memdir
	serve smufserver -r memdir
	mounts conf "tcp:127.0.0.1:$port,file:memdir" smuf
}

# count_in WHERE NAME ARGUMENT...: a counter, in the background: its output in NAME
count_in()
{
	where=$1
	out=$2
	shift 2
	# shellcheck disable=SC2086 # nothing, or a function
	$where "$counter" conf /m/f "$@" >"$out" 2>&1 &
	counters="$counters $!"
}

# counted WHAT TOTAL NAME...: all counters have ended with that total
counted()
{
	what=$1
	total=$2
	shift 2
	for each in $counters; do
		wait "$each"
	done
	counters=
	for each; do
		expect "$what: the counter $each" "$total" "$(cat "$each")"
	done
}
counters=

# The tests.

smdish_starts_serves_and_stops()
{
	serve_smdish
	expect 'a counter outside' 5 "$("$counter" conf /m/f 8 5 5 2>&1)"
	end 'smdishserver inside'
	expect_match 'its log' '*Terminated: stopping*' "$(cat log)"
}

# two_and_two WHERE: four processes inside, two outside
two_and_two()
{
	count_in "$1" a 20000 200 1200 2
	count_in "$1" b 20000 200 1200 2
	count_in '' c 20000 200 1200 2
	counted 'inside and outside' 1200 a b c
}

smdish_counts()
{
	serve_smdish
	two_and_two inside
	end 'smdishserver inside'
}

smuf_counts()
{
	serve_smuf
	two_and_two inside
	end 'smufserver inside'
	expect 'files left' '' "$(ls -A memdir)"
}

smuf_counts_through_mappings()
{
	serve_smuf
	two_and_two with_shm
	end 'smufserver inside'
}

larger_in_the_next_life()
{
	serve_smuf
	expect 'three lives' 7 "$(with_shm "$counter" conf /m/f 20000 7 7 1 3 2>&1)"
	end 'smufserver inside'
}

# contend WHERE: a second server starts there on memdir; its exit status in status
contend()
{
	# shellcheck disable=SC2086 # several words
	timeout -k 1 $((patience + 10)) $1 "$BUILD/smufserver" $keys -r memdir \
	    "tcp:127.0.0.1:$("$helper" port)" >out 2>err
	status=$?
}

# flock(2) is there, and says nothing of other instances.
a_second_smufserver_stays_out()
{
	serve_smuf
	count_in inside a 20000 1 2
	await 'the first client has its file' test -e memdir/f.segment
	for where in "$libos" "$libos -f" ''; do
		contend "$where"
		expect "a second server, $where: exit status" 1 "$status"
		expect_match "a second server, $where" '*another smufserver uses this directory*' "$(cat err)"
	done
	count_in '' b 20000 1 2
	counted 'the first server goes on' 2 a b
	end 'the first server'
}

a_dead_smufserver_is_followed()
{
	serve_smuf
	count_in inside a 20000 1 2
	await 'the client has its file' test -e memdir/f.segment
	kill -KILL $pid
	wait $pid 2>/dev/null
	wait
	counters=
	serve smufserver -r memdir
	expect 'what it left' .smufserver.lock "$(ls -A memdir)"
	end 'the next server'
}

a_replaced_smufserver_stops()
{
	serve_smuf
	first=$pid
	cp log first.log
	kill -STOP $first
	serve smufserver -r memdir
	mounts conf "tcp:127.0.0.1:$port,file:memdir" smuf
	count_in '' a 20000 1 2
	await 'the second server has a file' test -e memdir/f.segment
	kill -CONT $first
	wait $first
	expect 'the first server: exit status' 1 $?
	count_in inside b 20000 1 2
	counted 'the second server goes on' 2 a b
	end 'the second server'
}

smufserver_refuses_untrusted_shm()
{
	rm -rf memdir
	mkdir memdir
	# shellcheck disable=SC2086 # several words
	with_shm "$BUILD/smufserver" $keys -r memdir tcp:127.0.0.1:1 2>err
	expect 'exit status' 1 $?
	expect_match 'it says what to do' '*mount the directory as chroot*' "$(cat err)"
	expect 'files left' '' "$(ls -A memdir)"
}

no_pid_file()
{
	# shellcheck disable=SC2086 # several words
	inside "$server" $keys -p pid tcp:127.0.0.1:1 2>err
	expect 'exit status' 1 $?
	expect_match 'it says what to do' '*cannot lock the pid file: *leave -p out*' "$(cat err)"
	expect 'a pid file' no "$([ -e pid ] && echo yes || echo no)"
}

a_unix_socket_is_unheard_of()
{
	serve smdishserver "$work/socket"
	expect_match 'a warning' "*warning: $work/socket has not appeared*" "$(cat log)"
	end 'smdishserver inside'
}

certificates_are_loaded_again()
{
	cp pki/server.crt pki/shown.crt
	cp pki/server.key pki/shown.key
	keys='-Z pki/root.crt pki/shown.crt pki/shown.key'
	serve_smdish
	keys='-Z pki/root.crt pki/server.crt pki/server.key'
	cp pki/other.key pki/shown.key
	cp pki/other.crt pki/shown.crt
	patience=$((patience + 20)) await 'it has seen the change' has log 'files of -Z have changed: certificates reloaded'
	sed 's/name=server/name=other/' conf >other
	expect 'a client finds the new name' 1 "$(inside "$counter" other /m/f 8 1 1 2>&1)"
	end 'smdishserver inside'
}

smbench_measures()
{
	serve_smdish
	inside "$BUILD/smbench" -f conf -p 2 /m/b /m/b 1K 200 >out 2>err
	expect 'exit status, errors' '0 ' "$? $(cat err)"
	expect_match 'the count' '*critical sections: 400, *' "$(cat out)"
	expect_match 'a time that passed' '*median: *[1-9]*' "$(grep '^median' out)"
	end 'smdishserver inside'
}

smbench_says_what_it_cannot_measure()
{
	inside "$BUILD/smbench" >out 2>err
	expect 'exit status, output' '1 ' "$? $(cat out)"
	expect_match 'the reason' '*this cannot be measured: *' "$(cat err)"
	inside "$BUILD/smbench" --probe "$work" >out
	expect '--probe: exit status' 0 $?
	expect_match '--probe: signalfd' '*  signalfd(2) *no *' "$(cat out)"
	expect_match '--probe: shared memory' '*  shared memory of forks *no *' "$(cat out)"
	expect_match '--probe: pread' '*  pread(2), pwrite(2) *yes*' "$(cat out)"
	expect_match '--probe: mappings' '*  shared mappings *no *' "$(cat out)"
}

for test in $tests; do
	before=$failures
	$test
	[ "$failures" = "$before" ] && echo "ok $test" || echo "FAILED $test"
done
finish
