#!/bin/sh
# The README's program, compiled as the README says against an installation by `make install`,
# counts over smdish, smuf and smc, with the README's commands and mount files. With INSTALLED in the
# environment it is what this system has installed that is used, and there is no BUILD.
set -eu
: "${SRC:?}" "${TMPDIR:?}" "${CC:=cc}" "${SANITIZE:=}"
cd "$TMPDIR"
if [ -n "${INSTALLED:-}" ]; then
	VARIANT=installed
	often=400 # to look, before it counts as failed
	mkpki=mkpki
else
	often=$("${BUILD:?}/patience" 100)
	mkpki=$SRC/deploy/mkpki
	PATH=$BUILD:$PATH
fi
# compile: as the README says
compile() {
	command=$(sed -n 's/^    cc counter.c \(.*\)$/\1/p' "$SRC/README.md")
	[ -n "$command" ] || fail "the README does not say how to compile its program"
	eval "$CC -Wall -Wextra ${WERROR:+-Werror} counter.c $command" || fail "the README's command to compile"
}
fail() {
	echo "FAILED: $*"
	exit 1
}

sed -n '/^```c$/,/^```$/p' "$SRC/README.md" | sed '/^```/d' >counter.c
[ -s counter.c ] || fail "the README has no C program"
case ${VARIANT:-} in
'') make -s -C "$SRC" install BUILD="$BUILD" DESTDIR="$TMPDIR/root" PREFIX=/usr >install.log 2>&1 ||
	fail "make install: $(cat install.log)"
	export PKG_CONFIG_PATH=$TMPDIR/root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$TMPDIR/root
	export LD_LIBRARY_PATH=$TMPDIR/root/usr/lib
	compile
	;;
installed) compile ;;
*) # A sanitized library needs the same runtime in the program.
	case $VARIANT in
	asan) flags=-fsanitize=address,undefined ;;
	tsan) flags=-fsanitize=thread ;;
	esac
	$CC $flags -Wall -Wextra ${WERROR:+-Werror} -I "$SRC/common/client" counter.c "$BUILD/libsmclient.a" \
	    -lssl -lcrypto -lbsd -pthread -o counter
	;;
esac

# ours: the README's text with our places in place of its own. The test makes certificates and keys
# as the README says, up to what it says for a key that leaks.
ours() {
	sed "s|/run/|$TMPDIR/|g; s|/srv/|$TMPDIR/|g"
}
sed '/^### When a key leaks/q' "$SRC/README.md" | grep '^    \(mkpki\|mkdir\|head\) ' | sed "s|^    mkpki|$mkpki|" | ours >prepare
[ "$(wc -l <prepare)" -eq 8 ] || fail "the README has eight lines that prepare, found: $(cat prepare)"
sh -eu prepare >prepare.log 2>&1 || fail "what the README says to prepare: $(cat prepare.log)"
[ "$(stat -c %s,%a key)" = 32,600 ] || fail "the README's key: $(stat -c '%s bytes, mode %a' key)"
sed -n 's/^    \(CAFILE .*\|CERTFILE .*\|KEYFILE .*\)$/\1/p' "$SRC/README.md" >files
[ "$(wc -l <files)" -eq 3 ] || fail "the README's mount file names three files, found: $(cat files)"
server=
trap 'kill $server 2>/dev/null || true' EXIT

# start PROGRAM: as the README says, but without TCP
start() {
	command=$(sed -n "s/^    $1 \(-Z .*\)$/\1/p" "$SRC/README.md" | sed 's/ tcp:[^ ]*//' | ours)
	[ -n "$command" ] || fail "the README does not say how to start $1"
	: >log
	# shellcheck disable=SC2086 # words
	"$1" -l log $command &
	server=$!
	tries=0
	# Its socket is there a moment before it listens.
	until grep -q 'listening on' log || [ $tries -ge "$often" ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
}

stop() {
	kill $server
	wait $server || fail "the server's exit status; its log: $(cat log)"
	server=
}

# mount_file TYPE: makes app.conf
mount_file() {
	grep "^    MOUNT .* $1\( \|$\)" "$SRC/README.md" | sed 's/^    //' | ours >app.conf
	[ "$(wc -l <app.conf)" -eq 1 ] || fail "the README has one MOUNT line for $1, found: $(cat app.conf)"
	[ "$1" = smc ] || cat files >>app.conf
}

# count TYPE: the first instance stays while the others run.
count() {
	mount_file "$1"
	rm -f hold first
	mkfifo hold
	./counter <hold >first &
	exec 9>hold
	tries=0
	until [ -s first ] || [ $tries -ge $((2 * often)) ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	second=$(./counter </dev/null) || fail "$1: the second instance"
	third=$(./counter </dev/null) || fail "$1: the third instance"
	exec 9>&-
	wait $! || fail "$1: the first instance"
	[ "$(cat first)" = 1 ] || fail "$1: the first instance: expected 1, got $(cat first)"
	[ "$second" = 2 ] || fail "$1: the second instance: expected 2, got $second"
	[ "$third" = 3 ] || fail "$1: the third instance: expected 3, got $third"
}

start smdishserver
count smdish
stop
start smufserver
count smuf
stop
count smc
for directory in smuf smc; do
	[ -z "$(find $directory -mindepth 1)" ] || fail "files are left: $(find $directory)"
done
echo "ok"
