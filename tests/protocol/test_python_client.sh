#!/bin/sh
# The client that was written from PROTOCOL.md alone counts a shared byte over every transport.
# Environment: SRC, root of the checkout; BUILD, has smdishserver; TMPDIR, private scratch.
set -u
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}"
plain=''
tls=''

fail() {
	echo "test_python_client: $*" >&2
	exit 1
}

cleanup() {
	exec 3>&-
	# shellcheck disable=SC2086 # a server that does not run is no argument
	[ -z "$plain$tls" ] || kill $plain $tls
	wait
	cd / && rm -rf "$TMPDIR/python_client"
}

client() {
	python3 "$SRC/tests/protocol/client.py" "$@"
}

# until_deadline COMMAND...: 0 once the command succeeds, 1 if it has not within 20 s of a quiet machine
until_deadline() {
	deadline=$(($(date +%s) + $("$BUILD/patience" 20)))
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# answers PID ADDRESS [CA CERT KEY]: the server there answers, or its process has ended
answers() {
	pid=$1 address=$2
	shift 2
	client "$address" ready 1 0 "$@" </dev/null >ready.out 2>ready.err ||
		! kill -0 "$pid" 2>kill.err
}

# holding PID: the first client has counted, or its process has ended
holding() {
	[ -s out.0 ] || ! kill -0 "$1" 2>kill.err
}

# counts ADDRESS [CA CERT KEY]: one client holds the file, three more count at once
counts() {
	address=$1
	shift
	rm -f out.*
	client "$address" "/a file" 5000 4999 "$@" <hold >out.0 2>err &
	holder=$!
	exec 3>hold
	until_deadline holding "$holder"
	[ -s out.0 ] || fail "$address: the first client does not count: $(cat err)"
	client "$address" "/a file" 5000 4999 "$@" </dev/null >out.1 2>err.1 3>&- & one=$!
	client "$address" "/a file" 5000 4999 "$@" </dev/null >out.2 2>err.2 3>&- & two=$!
	client "$address" "/a file" 5000 4999 "$@" </dev/null >out.3 2>err.3 3>&- & three=$!
	for pid in $one $two $three; do
		wait "$pid" || fail "$address: a client failed: $(cat err.1 err.2 err.3)"
	done
	sort -n out.0 out.1 out.2 out.3 |
		awk '$1 != NR || $2 <= version || NF != 2 { bad = 1 }
			{ version = $2 }
			END { exit bad || NR != 4 }' ||
		fail "$address: wrong bytes or versions: $(cat out.0 out.1 out.2 out.3)"

	status=0
	client "$address" "" 5000 4999 "$@" </dev/null >out.4 2>err.4 || status=$?
	[ "$status: $(cat err.4)" = "1: OPEN: EINVAL" ] ||
		fail "$address: an empty name: exit $status, $(cat err.4)"

	exec 3>&-
	wait "$holder" || fail "$address: the first client failed: $(cat err)"
	client "$address" "/a file" 5000 4999 "$@" </dev/null >out.5 2>err.5 ||
		fail "$address: a client of a new file failed: $(cat err.5)"
	[ "$(cat out.5)" = "1 1" ] || fail "$address: a new file begins with $(cat out.5)"
}

mkdir "$TMPDIR/python_client" || fail "cannot make $TMPDIR/python_client"
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
cd "$TMPDIR/python_client" || exit
mkfifo hold || fail "cannot make a fifo"
{
	"$SRC/deploy/mkpki" init pki &&
		"$SRC/deploy/mkpki" server pki server &&
		"$SRC/deploy/mkpki" client pki client
} >pki.log 2>&1 || fail "mkpki: $(cat pki.log)"

"$BUILD/smdishserver" unix:plain.sock >plain.log 2>&1 &
plain=$!
until_deadline answers "$plain" plain.sock ||
	fail "the plaintext server does not answer: $(cat ready.err)"
kill -0 "$plain" 2>kill.err || { plain=''; fail "the plaintext server ended: $(cat plain.log)"; }

# A server that answers on its unix socket has its TCP port too; one whose port is in use ends.
port=$((20000 + $$ % 10000)) tries=20
set -- pki/root.crt pki/client.crt pki/client.key
while [ -z "$tls" ]; do
	"$BUILD/smdishserver" -Z pki/root.crt pki/server.crt pki/server.key \
		"tcp:127.0.0.1:$port" unix:tls.sock >tls.log 2>&1 &
	tls=$!
	until_deadline answers "$tls" tls.sock "$@" ||
		fail "the TLS server does not answer: $(cat ready.err)"
	kill -0 "$tls" 2>kill.err && break
	tls=''
	if [ "$tries" -eq 0 ] || ! grep -q "cannot listen on tcp:" tls.log; then
		fail "the TLS server ended: $(cat tls.log)"
	fi
	port=$((port + 101)) tries=$((tries - 1))
done

counts plain.sock
counts tls.sock "$@"
counts "tcp:127.0.0.1:$port" "$@"
echo ok
