#!/bin/sh
# Every program: its parser, its --help, its usage and its manual have the same options; and so have the servers
# and smserver.conf(5), and mkpki and its commands. options.py compares them. Environment: SRC, BUILD, TMPDIR.
set -u
: "${SRC:?}" "${BUILD:?}" "${TMPDIR:?}"
LC_ALL=C
export LC_ALL
cd "$TMPDIR" || exit 1
PATIENCE=$("$BUILD/patience" 10) python3 -B "$SRC/tests/system/options.py"
