#!/bin/sh
# What a mistake is told: the table of messages.txt. Each row is a command line with a mistake in it,
# or one that looks like a mistake and works; the exit status; where the words come; and the words.
# A mistake gets one line, besides the usage, with what is wrong and what to do.

# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"

PATH=$BUILD:$SRC/deploy:$PATH
table=$SRC/tests/system/messages.txt

# The situations of the rows.
umask 022
mkdir mem own tree dir pki.broken pki.cut pki.mixed || exit 1
"$mkpki" init pki >/dev/null && "$mkpki" server pki one >/dev/null && "$mkpki" server pki two >/dev/null &&
    "$mkpki" client pki client >/dev/null && "$mkpki" client pki boss >/dev/null && "$mkpki" init other >/dev/null &&
    "$mkpki" -s 20700101000000Z -e 20710101000000Z server pki later >/dev/null || exit 1
"$mkpki" crl other >/dev/null && "$mkpki" -s 20200101000000Z -e 20200201000000Z crl pki >/dev/null &&
    cp pki/root.crl pki/late.crl &&
    "$mkpki" -s 20200101000000Z -e "$(date -u -d '+1 hour' +%Y%m%d%H%M%SZ)" crl pki >/dev/null &&
    cp pki/root.crl pki/soon.crl && "$mkpki" revoke pki pki/client.crt >/dev/null || exit 1
"$mkpki" server pki gone >/dev/null && cp pki/root.crl pki/before.crl &&
    "$mkpki" revoke pki pki/gone.crt >/dev/null && cp pki/root.crl pki/gone.crl || exit 1
# A root of before, which may not sign lists, of the same key.
mkdir pki.weak && cp pki/root.key pki.weak && cp pki/root.crl pki/weak.crl &&
    openssl req -x509 -new -key pki/root.key -subj '/O=memserver/CN=memserver root' -days 9 \
	-addext 'keyUsage=critical,keyCertSign' -out pki.weak/root.crt 2>/dev/null || exit 1
# Another root of the same name.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout namesake.key -days 9 \
    -subj '/O=memserver/CN=memserver root' -addext subjectKeyIdentifier=none -out namesake.crt 2>/dev/null || exit 1
cp pki/root.crt pki.broken && echo broken >pki.broken/root.key || exit 1
cp pki/root.key pki.cut && sed '3,$d' pki/root.crt >pki.cut/root.crt || exit 1
cp pki/root.crt pki.mixed && cp other/root.key pki.mixed || exit 1
cp pki/two.crt pki/open.crt && cp pki/two.key pki/open.key && chmod 644 pki/open.key || exit 1
openssl pkcs8 -topk8 -in pki/one.key -passout pass:x -out pki/locked.key || exit 1
sed '3,$d' pki/one.crt >pki/cut.crt
: >pki/empty.key
mkdir 'my dir' lost.key lost.crt lost.both || exit 1
cp pki/root.crt pki/index lost.key && cp pki/root.key pki/index lost.crt && cp pki/index lost.both || exit 1
# Directories of mkpki with a damaged file each.
for each in crl.empty crl.junk index.empty index.junk index.cut index.day index.dir cert.empty cert.key noindex.cert noindex.root; do
	cp -R other "damaged.$each" && "$mkpki" client "damaged.$each" a >/dev/null || exit 1
done
: >damaged.crl.empty/root.crl
echo junk >damaged.crl.junk/root.crl
: >damaged.index.empty/index
echo junk >>damaged.index.junk/index
truncate -s -1 damaged.index.cut/index || exit 1
printf 'V\t270230000000Z\t\t01\tclient\t/CN=x\n' >>damaged.index.day/index
rm damaged.index.dir/index damaged.index.dir/root.crl && mkdir damaged.index.dir/index || exit 1
: >damaged.cert.empty/a.crt
echo junk >damaged.cert.key/a.key
cp pki/client.crt damaged.cert.empty/foreign.crt && cp pki/client.key damaged.cert.empty/foreign.key &&
    "$mkpki" client damaged.cert.empty b >/dev/null && cp pki/client.key damaged.cert.empty/b.key || exit 1
for each in cert root; do
	rm damaged.noindex.$each/index damaged.noindex.$each/root.crl || exit 1
done
echo junk >damaged.noindex.cert/b.crt
: >damaged.noindex.root/root.crt
mkdir -p found/directory/prog found/text found/program || exit 1
printf '#!/bin/sh\necho ran\n' | tee found/text/prog >found/program/prog && chmod 755 found/program/prog || exit 1
echo precious >file
echo 'EXEC file:helper' >premanifest
echo precious >tree/precious
: >file.lock
printf '%s\n' 'MOUNT tcp:nowhere..invalid:1 /m smdish' 'CAFILE pki/root.crt' >nowhere.conf
mkdir conf || exit 1
# conf NAME LINE...: makes the configuration file conf/NAME
conf()
{
	name=$1
	shift
	printf '%s\n' "$@" >"conf/$name"
}
conf word '# sessions' 'sesion-limit 7'
conf letter 'c 7'
conf dashes --verbose
conf equals 'session-limit = 7'
conf twice verbose '' verbose
conf none tls
conf more 'log a.log b.log'
conf yes 'daemon yes'
conf self 'config word'
conf number 'session-limit 0'
conf mode 'socket-mode rw'
# shellcheck disable=SC2016 # the server replaces it
conf unset 'log $MEMSERVER_NOWHERE'
# The byte order mark that some editors write.
mark=$(printf '\357\273\277')
conf mark "${mark}socket-mode 600"
conf marked "${mark}sesion-limit 7"
conf blank 'operators boss, app'
MEMSERVER_NAMES='boss, app'
export MEMSERVER_NAMES
# shellcheck disable=SC2016 # the server replaces it
conf valued 'operators $MEMSERVER_NAMES'
conf address 'address localhost:1'
conf tcp 'address tcp:127.0.0.1:1'
conf keys 'tls a b c'
mkdir mounts || exit 1
# mounts NAME LINE...: makes the mount file mounts/NAME
mounts()
{
	name=$1
	shift
	printf '%s\n' "$@" >"mounts/$name"
}
mounts one 'MOUNT unix:live /m smdish'
mounts type 'MOUNT unix:live /m smdihs'
mounts directive 'MOUTN unix:live /m smdish'
mounts mark "${mark}MOUNT unix:../live /m smdish"
mounts beside 'MOUNT unix:live /m smdish' 'MOUNT unix:live /n smdihs'
# shellcheck disable=SC2016 # smrun replaces it
mounts unset 'MOUNT $MEMSERVER_NOWHERE /m smdish'
mounts packager 'MOUNT file:dir / chroot' 'THREADS 2'
for number in $(seq 33); do
	echo "MOUNT unix:live /m/$number smdish"
done >mounts/many
mounts name 'MOUNT unix:../live.tls /m smdish name=smdishh' 'CAFILE ../pki/root.crt'
mounts other 'MOUNT unix:../live.tls /m smdish' 'CAFILE ../other/root.crt'
mounts namesake 'MOUNT unix:../live.tls /m smdish' 'CAFILE ../namesake.crt'
mounts cut 'MOUNT unix:live /m smdish' 'CAFILE none'
mounts key 'MOUNT file:dir /m smc key=none'
mounts exists 'MOUNT unix:live /tmp/ smdish'
mounts root 'MOUNT unix:live / smdish'
: >mounts/empty
busy=$("$helper" port)
start --operators boss -Z pki/root.crt pki/one.crt pki/one.key ./live.tls "tcp:127.0.0.1:$busy"
await 'the server that is in the way of a port' has log "listening on tcp:127.0.0.1:$busy"
tls=$pid
port=$("$helper" port)
start ./live
await 'the server that is in the way' answers unix ./live
live=$pid

# filled TEXT: with what differs between runs
filled()
{
	printf '%s\n' "$1" | sed "s,@PORT@,$port,g;s,@BUSY@,$busy,g;s,@PID@,$live,g"
}

# lines_of FILE: how many of it are no usage
lines_of()
{
	grep -vcE '^usage: |^       |^Try ' "$1"
}

# ends STATUS STREAM WORDS COMMAND: a program that ends
ends()
{
	timeout -k 1 "$patience" sh -c "$4" >out 2>err </dev/null
	expect "$4: exit status" "$1" $?
	expect_match "$4: standard $2" "*$3*" "$(cat "$2")"
	[ "$2" = out ] || expect "$4: lines of standard error that are no usage" 1 "$(lines_of err)"
	[ "$2" = out ] || expect "$4: standard output" '' "$(cat out)"
}

# serves WORDS COMMAND: a server that starts, and logs the words
serves()
{
	: >log
	sh -c "exec $2" 2>>log &
	pid=$!
	remember "$pid"
	await "$2: it serves" has log 'listening on'
	expect_match "$2: its log" "*$1*" "$(cat log)"
	end "$2"
}

# row STATUS STREAM WORDS COMMAND
row()
{
	case $2 in
	log) serves "$3" "$4" ;;
	*) ends "$1" "$2" "$3" "$4" ;;
	esac
}

rows=0
while IFS='|' read -r status stream words command; do
	case $status in
	'' | '#'*) continue ;;
	esac
	rows=$((rows + 1))
	# A program that smrun runs has no runtime of a sanitizer in front, which the library of a variant needs.
	[ -z "${VARIANT:-}" ] || [ "$words" != ' ran ' ] || continue
	command=$(filled "${command# }")
	words=$(filled "$(printf "%s\n" "$words" | sed 's/^ *//;s/ *$//')")
	case $command in
	SERVER*)
		row "${status% }" "$(echo $stream)" "$words" "smdishserver${command#SERVER}"
		row "${status% }" "$(echo $stream)" "$words" "smufserver -r mem${command#SERVER}"
		;;
	*) row "${status% }" "$(echo $stream)" "$words" "$command" ;;
	esac
done <"$table"
expect 'rows of the table, at least' yes "$([ $rows -ge 90 ] && echo yes || echo "$rows")"
expect 'files that no program may touch' 'precious precious' "$(cat file tree/precious | tr '\n' ' ' | sed 's/ $//')"
expect 'files that no program may make' '' "$(ls missing none.lock 2>/dev/null)"
for pid in $live $tls; do
	end 'a server that was in the way'
done

# With -l, a start that fails tells so on the terminal, and in the log.
run -l ./started.log ./none/sock
expect '-l and a start that fails: exit status' 1 "$status"
expect_match '-l: on the terminal' 'smdishserver: not started: *./none/sock*' "$err"
expect_match '-l: in the log' '* smdishserver[[]*error: not started: *./none/sock*' "$(cat started.log)"
# Before the log is open, too, a line of it names the program.
run -l ./none/log ./sock
expect_match 'no log: the name of the program' '* smdishserver[[]*' "$err"

# A build without a header names the package. This compiler finds none.
env -u MAKEFLAGS -u MFLAGS make -C "$SRC" BUILD="$work/build" CC=false "$work/build/found" >out 2>err
expect 'make without libbsd: exit status' 2 $?
expect 'make without libbsd' 'bsd/stdlib.h is missing: apt-get install libbsd-dev' "$(head -n 1 err)"
env -u MAKEFLAGS -u MFLAGS make -C "$SRC" BUILD="$work/build" CC=missing-cc "$work/build/found" >out 2>err
expect 'make without a compiler' 'missing-cc is missing: apt-get install gcc, or set CC' "$(head -n 1 err)"

# SIGUSR1 opens the log again.
start -l ./server.log ./sock
await 'before SIGUSR1: it serves' answers unix ./sock
mv server.log server.log.1
kill -USR1 $pid
await 'SIGUSR1 opens the log again' has server.log 'SIGUSR1'
await 'after SIGUSR1: it serves' answers unix ./sock
end 'SIGUSR1'

# A log that is a file, and one that is not; a server with certificates, and one without.
# after SIGNAL FILE WORDS: a line of the log in the file that the server writes at the signal
after()
{
	kill "-$1" $pid
	await "after SIG$1: SIG$1: $3" has "$2" " SIG$1: $3\$"
}
start ./sock
await 'a log on standard error: it serves' answers unix ./sock
after USR1 log 'nothing to reopen: there is no log file (-l)'
after HUP log 'nothing to reload: there is neither -Z nor a log file (-l)'
end 'a log on standard error'
start -l ./server.log ./sock
await 'a log in a file: it serves' answers unix ./sock
after USR1 server.log 'log reopened'
after HUP server.log 'log reopened'
mv server.log server.log.2 && mkdir server.log || exit 1
after HUP server.log.2 'the old log stays in use'
end 'a log in a file'
rmdir server.log
for log in 'log:certificates reloaded' 'server.log:certificates and log reloaded'; do
	file=${log%%:*}
	set -- -Z pki/root.crt pki/one.crt pki/one.key ./sock
	[ "$file" = log ] || set -- -l "./$file" "$@"
	start "$@"
	await "certificates and $file: it serves" has "$file" 'listening on'
	after HUP "$file" "${log#*:}"
	end "certificates and $file"
done

# The server's own certificate is revoked while it serves, and replaced.
for each in crt key; do
	cp pki/gone.$each own.$each || exit 1
done
cp pki/before.crl own.crl || exit 1
start -C own.crl -Z pki/root.crt own.crt own.key ./sock
await 'its own certificate: it serves' has log 'listening on'
expect 'its own certificate is not revoked' 0 "$(grep -c 'is revoked' log)"
cp pki/gone.crl own.crl
kill -HUP $pid
await 'its own certificate is revoked' has log 'warning: -C own.crl: the certificate of this server is revoked'
for each in crt key; do
	cp pki/one.$each own.$each || exit 1
done
: >log
after HUP log 'certificates reloaded'
expect 'another certificate of its own' 0 "$(grep -c 'is revoked' log)"
end 'its own certificate'

# A smufserver without -r: where nothing is, where a killed one was, and with files of its own.
cd own || exit 1
server=$BUILD/smufserver
for round in empty killed; do
	start -l ./log -p ./pid uds
	await "smufserver in a directory of its own, $round: it serves" answers unix ./uds
	kill -KILL $pid
	wait $pid 2>/dev/null
	expect "$round: what it left" .smufserver.lock "$(ls -A | grep lock)"
done

# A smufserver that cannot write in its directory is not told to give another.
cd "$work" || exit 1
said=$(ulimit -f 0; timeout -k 1 "$patience" "$server" -r mem ./sock 2>&1)
expect 'a limit of 0 bytes a file: exit status' 1 $?
expect_match 'a limit of 0 bytes a file' '*: not started: -r mem: Input/output error' "$said"
# shellcheck disable=SC2016 # the inner shell's
full='mount -t tmpfs -o size=4k none mem && head -c 4096 /dev/zero >mem/zeros || exit 77
exec "$@" 2>said'
timeout -k 1 "$patience" unshare -m sh -c "$full" sh "$server" -r mem ./sock 2>err
status=$?
if [ $status -eq 77 ] || grep -q '^unshare:' err; then
	echo 'skipped: no disk can be mounted here'
else
	expect 'a full disk: exit status' 1 $status
	expect_match 'a full disk' '*: not started: -r mem: No space left on device: make room there' "$(cat said)"
fi

finish
