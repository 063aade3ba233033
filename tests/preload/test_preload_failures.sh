#!/bin/sh
# When a memory file fails, the call fails with the errno of smclient(3), and a line says why, with program and
# path: a server that is killed, a host that changes bytes, a disk that is full. After its server has ended, a
# program opens a new file of the same name.

# shellcheck source=tests/preload/lib.sh
. "${SRC:?}/tests/preload/lib.sh"
skip_if_sanitized
program sections

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
