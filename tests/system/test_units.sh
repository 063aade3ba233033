#!/bin/sh
# What `make install` gives systemd: it accepts the units, finds them safe (`systemd-analyze security`), makes the users and
# directories, and starts each server, with the unit's command, at the first client.

if ! command -v systemd-analyze >/dev/null || ! command -v systemd-socket-activate >/dev/null; then
	echo 'skipped: there is no systemd-analyze (systemd)'
	exit 0
fi
# shellcheck source=tests/system/lib.sh
. "${SRC:?}/tests/system/lib.sh"
# No loader of this system is told of the library.
mkdir bin
printf '#!/bin/sh\n' >bin/ldconfig
chmod 755 bin/ldconfig
PATH=$work/bin:$PATH make -C "$SRC" install BUILD="$BUILD" CC="${CC:-cc}" PREFIX="$work/usr" >make.log 2>&1
expect 'make install: exit status' 0 $?
units=$work/usr/lib/systemd/system
cd "$units" || exit 1
mkdir "$work/etc"

expect 'systemd-analyze verify' '' "$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no \
    ./smdishserver.service ./smdishserver.socket ./smufserver@root.service ./smufserver@root.socket 2>&1)"
# Tenths: 2.0 at most.
for unit in smdishserver.service smufserver@.service; do
	systemd-analyze security --offline=yes --threshold=20 --no-pager "./$unit" >"$work/security" 2>&1
	expect "$unit: systemd-analyze security: exit status" "0 ($(tail -1 "$work/security"))" "$? ($(tail -1 "$work/security"))"
done
cd "$work" || exit 1

# In an empty root.
systemd-sysusers --root="$work" "$work/usr/lib/sysusers.d/memserver.conf" >sysusers.log 2>&1
expect 'systemd-sysusers: exit status' 0 $?
expect 'the users, none of whom logs in' 'smdish:/ smuf:/' "$(grep '^sm.*nologin$' etc/passwd | cut -d: -f1,6 | sort | tr '\n' ' ' | sed 's/ $//')"
expect 'their groups' 'smdish smuf' "$(sed -n 's/^\(sm[a-z]*\):.*/\1/p' etc/group | sort | tr '\n' ' ' | sed 's/ $//')"
systemd-tmpfiles --root="$work" --create "$work/usr/lib/tmpfiles.d/memserver.conf" >tmpfiles.log 2>&1
expect "systemd-tmpfiles: exit status ($(cat tmpfiles.log))" 0 $?
for each in etc/smdish etc/smuf run/smdish run/smuf var/lib/smuf; do
	expect "the directory /$each" "directory 755" "$(stat -c '%F %a' "$each")"
done

# follow UNIT TENANT: the commands in the unit's first lines, but for systemctl, below our root and without its users
follow()
{
	sed -n 's/^#	//p' "$units/$1.service" | grep -v systemctl >commands
	sed -i "s# /\(root\|etc\)# $work/\1#g; s# -o [a-z]*##; s#\<web\>#$2#g" commands
	PATH=$work/usr/bin:$PATH sh -eu commands >commands.log 2>&1
	expect "the commands in $1, for $2: exit status ($(cat commands.log))" 0 $?
}
mkdir -m 0755 root
follow smdishserver smdish
follow smufserver@ web
follow smufserver@ mail
# knows ROOT CLIENT
knows()
{
	openssl verify -CAfile "root/pki.$1/root.crt" -purpose sslclient "root/pki.$2/app.crt" >/dev/null 2>&1
}
for each in smdish web mail; do
	expect "whose clients the root of $each knows" "$each " \
	    "$(for other in smdish web mail; do ! knows $each $other || printf '%s ' $other; done)"
done
mkdir var/lib/smuf/web

# Socket activation: the command of the unit, below our root, with what its first lines make.

# listens_at SOCKET: true when clients can connect; the file is there a moment before
listens_at() {
	awk -v path="$1" '$4 == "00010000" && $NF == path { found = 1 } END { exit !found }' /proc/net/unix
}

# activated UNIT SOCKET MOUNT PKI: waits for a client at the socket, and starts the server then
activated()
{
	command=$(sed -n 's/^ExecStart=//p' "$units/$1.service" | sed "s#%i#web#g; s# /\(etc\|var\)/# $work/\1/#g")
	listens=$(sed -n 's/^ListenStream=//p' "$units/$1.socket" | sed "s|%i|web|g; s|^/|$work/|")
	expect "$1: the socket" "$work/$2" "$listens"
	# shellcheck disable=SC2086 # words
	systemd-socket-activate -l "$listens" $command >"$1.log" 2>&1 &
	pid=$!
	remember "$pid"
	printf '%s\n' "MOUNT $3" "CAFILE $4/root.crt" "CERTFILE $4/app.crt" "KEYFILE $4/app.key" >app.conf
	await "$1: systemd listens" listens_at "$listens"
	expect "$1: no server yet" '' "$(grep 'listening on socket' "$1.log")"
	timeout -k 1 $((3 * patience)) "$BUILD/smbench" -f app.conf /shared/a /shared/a 1K 10 >bench.log 2>&1
	expect "$1: a client is served ($(cat bench.log "$1.log"))" 0 $?
	expect_match "$1: by the socket of systemd" '*listening on socket 3 of systemd (TLS, client certificates required)*' "$(cat "$1.log")"
	end "$1"
}
# suggested KIND: what the mount file of smbench for Gramine suggests outside of it, below our root
suggested()
{
	sed -n 's/^#MOUNT \(unix:.*\)/\1/p' "$SRC/deploy/gramine/smbench-$1.conf" |
	    sed 's#:/\(run\|var\)/#:\1/#g; s#TENANT#web#g; s#/memserver[01]#/shared#'
}
activated smdishserver run/smdish/smdish.sock "$(suggested smdish)" root/pki.smdish
activated smufserver@ run/smuf/web.sock "$(suggested smuf)" root/pki.web
expect 'no file of smuf is left' '' "$(find var/lib/smuf/web -mindepth 1)"

finish
