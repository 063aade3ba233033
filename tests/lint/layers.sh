#!/bin/sh
# layers.sh [ROOT]: no include points upward.  ROOT is the repository (default: here).
#
# layers.txt says which rooms there are and how high each is.  tests may include anything, and
# nothing else includes tests.
#
# A path is written from the root of the repository ("common/base/buf.h"), and OpenSSL is
# included by common/crypto, bench/ruler.c and tests only.  Prints file:line and the broken rule,
# and exits 1 if there was any.

set -u
unset CDPATH
lint=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "${1:-.}" || exit 1

folders=
for folder in common smdish smuf smc bench deploy tests; do
	[ ! -d $folder ] || folders="$folders $folder"
done
[ -n "$folders" ] || {
	echo "layers.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}

# shellcheck disable=SC2086 # folders are words
find $folders -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' \) -exec \
    awk -v rooms="$lint/layers.txt" -f "$lint/layers.awk" -f "$lint/includes.awk" {} +
