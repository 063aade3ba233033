#!/bin/sh
# smstat: what it shows of both servers with 1,000 memory files and a contended lock, beside what
# their clients know; what it makes of servers that lie; and why a server cannot be asked. check.py
# runs the parts. Environment: SRC, BUILD, TMPDIR.
set -u
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}"
LC_ALL=C
export LC_ALL

fail()
{
	echo "test_smstat: $*"
	exit 1
}

# Short, because the path of a socket has 107 bytes.
work=$(mktemp -d "$TMPDIR/XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

for arguments in 'init pki' 'server pki server' 'client pki boss' 'client pki app' \
    'client pki rival' 'client pki gone' '-s 20200101000000Z -e 20200201000000Z client pki past' \
    'init other' 'client other boss' '-s 20200101000000Z -e 20200201000000Z crl pki' \
    'revoke pki pki/gone.crt'; do
	# shellcheck disable=SC2086 # words
	"$SRC/deploy/mkpki" $arguments >mkpki.log 2>&1 || fail "mkpki $arguments: $(cat mkpki.log)"
	[ "${arguments#*crl pki}" = "$arguments" ] || mv pki/root.crl late.crl || exit 1
done

PATIENCE=$("$BUILD/patience" 10) PYTHONPATH=$SRC/tests/smstat python3 -B "$SRC/tests/smstat/check.py"
