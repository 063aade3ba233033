#!/bin/sh
# When a memory file fails, the call fails with the errno of smclient(3), and a line says why, with program and
# path: a server that is killed, a host that changes bytes, a disk that is full, a directory that is missing. After its server has ended, a
# program opens a new file of the same name.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized
program sections

# said VARIABLES COMMAND...: what the library says
said()
{
	variables=$1
	shift
	# shellcheck disable=SC2086 # words
	preloaded env $variables "$@" 2>&1 >/dev/null | grep '^libsmpreload:'
}

# A file that no process has open is no failure; one that no process can open is.
printf 'MOUNT file:%s/missing /m smc\n' "$work" >missing.conf
for place in $kinds; do
	expect "$place: the file is not open" '' "$(said '' cat "$place/absent")"
	expect "$place: the file is not there" '' "$(said '' stat "$place/absent")"
done
missing='missing (the directory of the mount): No such file or directory'
expect_match 'the directory is missing: opening, to create' "libsmpreload: flock?*?: /m/x: open: *$missing" \
    "$(said SM_CONF=missing.conf flock /m/x true)"
expect_match 'the directory is missing: opening' "libsmpreload: cat?*?: /m/x: open: *$missing" \
    "$(said SM_CONF=missing.conf cat /m/x)"
expect_match 'the directory is missing: stat' "libsmpreload: stat?*?: /m/x: stat: *$missing" \
    "$(said SM_CONF=missing.conf stat /m/x)"
cp missing.conf changed.conf
change="import os
open('changed.conf', 'w').write('MOUNT file:smcdir /other smc\\n')
os.open('/m/x', os.O_RDWR | os.O_CREAT)"
expect_match 'the mount file has changed' "libsmpreload: python3?*?: /m/x: open: /m/x: no mount covers the path" \
    "$(said SM_CONF=changed.conf /usr/bin/python3 -c "$change")"

# hold NAME PATH COMMAND...: a process has the file open, and ends with 8; what it says goes to NAME
hold()
{
	name=$1
	mkfifo "$name.until"
	held=$2
	shift 2
	preloaded "$@" "$held" <"$name.until" >"$name" 2>&1 &
	holder=$!
	exec 8>"$name.until"
	await "$held: one opens the file" has "$name" open
}

# fails NAME PATH WORDS ERRNO: that process then locks the file in vain
fails()
{
	exec 8>&-
	wait "$holder"
	expect "$2: exit status" 1 $?
	expect_match "$2: what is said" "open
libsmpreload: sections?*?: $2: lock: *$3
sections: fcntl $2: $4" "$(cat "$1")"
}

hold changed /sm/muf/changed ./sections hold
expect 'others count' '' "$(preloaded ./sections alone /sm/muf/changed 10 2>&1)"
size=$(stat -c %s memdir/changed.segment)
head -c "$size" /dev/urandom | dd of=memdir/changed.segment conv=notrunc 2>/dev/null
fails changed /sm/muf/changed '*changed.segment*' 'Bad message'

for kind in dish muf; do
	hold killed.$kind /sm/$kind/killed ./sections hold
	eval "killed=\$$kind"
	kill -KILL "$killed"
	wait "$killed" 2>/dev/null
	fails killed.$kind /sm/$kind/killed "$kind.sock: ACQUIRE /killed: *" 'Connection reset by peer'
done

# start_again KIND: the server, without the descriptor that the program waits for
start_again()
{
	case $1 in
	dish) serve dish smdishserver 8>&- ;;
	muf) serve muf smufserver -r memdir 8>&- ;;
	esac
}

for kind in dish muf; do
	start_again $kind
	hold again.$kind /sm/$kind/again /usr/bin/python3 "$SRC/tests/preload/again.py"
	kill -KILL $pid
	wait $pid 2>/dev/null
	start_again $kind
	exec 8>&-
	wait "$holder"
	expect "$kind: a file whose server has ended" 'open ECONNRESET 10 ' "$(grep -v libsmpreload again.$kind | tr '\n' ' ')"
done

# full: sections that change more bytes than the disk has
# shellcheck disable=SC2016 # the inner shell's
full='mount -t tmpfs -o size=256k none smcdir || exit 77
LD_PRELOAD=$1 ./sections bench /sm/smc/full 1 100000 1048576'
timeout -k 1 $((patience * 12)) unshare -m sh -c "$full" sh "$library" >full 2>&1
status=$?
if [ $status -eq 77 ] || grep -q '^unshare:' full; then
	echo 'skipped: no disk can be mounted here'
else
	expect '/sm/smc/full: exit status' 1 $status
	expect_match 'a full disk' "libsmpreload: sections?*?: /sm/smc/full: *
sections: fcntl /sm/smc/full: No space left on device
*" "$(cat full)"
fi
finish
