#!/bin/sh
# headers.sh [ROOT]: every header compiles alone, twice in a row, without a warning; those
# that say extern "C" compile as C++ too, if there is a compiler for it.  ROOT is the
# repository (default: here).  CC, CXX and CPPFLAGS are heeded.

set -u
cd "${1:-.}" || exit 1

CC=${CC:-cc}
CXX=${CXX:-c++}
CPPFLAGS=${CPPFLAGS:-}
status=0

folders=
for folder in common smdish smuf smc bench tests; do
	[ ! -d $folder ] || folders="$folders $folder"
done
[ -n "$folders" ] || {
	echo "headers.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}

# alone HEADER COMPILER...
alone()
{
	header=$1
	shift
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
	    "$@" -D_GNU_SOURCE -I. -fsyntax-only -Wall -Wextra -Werror - || {
		echo "$header:1: this header does not compile alone ($1)"
		status=1
	}
}

# shellcheck disable=SC2086 # folders, and CC and its flags, are words
for header in $(find $folders -name '*.h' | sort); do
	alone "$header" $CC $CPPFLAGS -std=c11 -x c
	if grep -q 'extern "C"' "$header" && command -v ${CXX%% *} >/dev/null; then
		alone "$header" $CXX $CPPFLAGS -std=c++11 -pedantic -x c++
	fi
done
exit $status
