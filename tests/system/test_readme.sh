#!/bin/sh
# The README's program, compiled as the README says against what `make install` installs, counts.
set -eu
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}" "${CC:=cc}" "${SANITIZE:=}"
cd "$TMPDIR"
fail() {
	echo "FAILED: $*"
	exit 1
}

sed -n '/^```c$/,/^```$/p' "$SRC/README.md" | sed '/^```/d' >counter.c
[ -s counter.c ] || fail "the README has no C program"
case ${VARIANT:-} in
'') make -s -C "$SRC" install BUILD="$BUILD" DESTDIR="$TMPDIR/root" PREFIX=/usr >install.log 2>&1 ||
	fail "make install: $(cat install.log)"
	command=$(sed -n 's/^    cc counter.c \(.*\)$/\1/p' "$SRC/README.md")
	[ -n "$command" ] || fail "the README does not say how to compile its program"
	export PKG_CONFIG_PATH=$TMPDIR/root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$TMPDIR/root
	export LD_LIBRARY_PATH=$TMPDIR/root/usr/lib
	eval "$CC -Wall -Wextra -Werror counter.c $command" || fail "the README's command to compile"
	;;
*) # Sanitized: the library wants the same runtime in the program.
	case $VARIANT in
	asan) flags=-fsanitize=address,undefined ;;
	tsan) flags=-fsanitize=thread ;;
	esac
	$CC $flags -Wall -Wextra -Werror -I "$SRC/common/client" counter.c "$BUILD/libsmclient.a" \
	    -lssl -lcrypto -lbsd -pthread -o counter
	;;
esac

"$SRC/deploy/mkpki" init pki
"$SRC/deploy/mkpki" server pki smdish
"$SRC/deploy/mkpki" client pki app
"$BUILD/smdishserver" -l log -Z pki/root.crt pki/smdish.crt pki/smdish.key "$TMPDIR/s" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
sed -n 's/^    \(MOUNT .*\|CAFILE .*\|CERTFILE .*\|KEYFILE .*\)$/\1/p' "$SRC/README.md" |
	sed "s|/run/smdish.sock|$TMPDIR/s|" >app.conf
[ "$(wc -l <app.conf)" -eq 4 ] || fail "the README's mount file has four lines, found: $(cat app.conf)"
tries=0
until [ -S s ] || [ $tries -eq 100 ]; do
	tries=$((tries + 1))
	sleep 0.05
done

# The first instance stays while the others run.
mkfifo hold
./counter <hold >first &
exec 9>hold
tries=0
until [ -s first ] || [ $tries -eq 200 ]; do
	tries=$((tries + 1))
	sleep 0.05
done
second=$(./counter </dev/null)
third=$(./counter </dev/null)
exec 9>&-
wait $! || fail "the first instance"
[ "$(cat first)" = 1 ] || fail "the first instance: expected 1, got $(cat first)"
[ "$second" = 2 ] || fail "the second instance: expected 2, got $second"
[ "$third" = 3 ] || fail "the third instance: expected 3, got $third"
kill $server
wait $server || fail "the server's exit status; its log: $(cat log)"
echo "ok"
