#!/bin/sh
# circles.sh [ROOT]: there are no circles between files, neither by include nor by call, and no call
# points upward.  ROOT is the repository (default: here).  CC and NM are heeded.
#
# By include: a.h includes b.h, which includes a.h.  By call: a.c needs a symbol (a function or data)
# that b.c defines, which needs one that a.c defines; for that every source is compiled without
# optimisation, and nm(1) tells what each object defines and needs.  Calls through pointers do not
# count: that is how a lower file reaches a higher one, nor do names of the C library.  Rooms and their heights are in layers.txt.

set -u
unset CDPATH
lint=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "${1:-.}" || exit 1

CC=${CC:-cc}
NM=${NM:-nm}
work=$(mktemp -d "${TMPDIR:-/tmp}/circles.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

folders=
for folder in common smdish smuf smc bench deploy; do
	[ ! -d $folder ] || folders="$folders $folder"
done
[ -n "$folders" ] || {
	echo "circles.sh: there is nothing to check in $(pwd)" >&2
	exit 1
}

# The examples are programs of users, each by itself.
# shellcheck disable=SC2086 # folders are words
find $folders -name '*.[ch]' | grep -v '^deploy/examples/' | sort >"$work/files"

# Lines "a.c b.h": the first includes the second.
xargs awk '/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, part, "\""); print FILENAME, part[2] }' \
    <"$work/files" >"$work/includes"

# One object each: its path has % for /, since nm names its objects by their paths.
compile='out=$1/$(echo "$2" | sed "s,/,%,g;s,c$,o,")
$3 -I. -D_GNU_SOURCE -DMEMSERVER_VERSION="\"\"" -std=c11 -O0 -w -c -o "$out" "$2"'
grep '\.c$' "$work/files" | xargs -P "$(nproc)" -I @ sh -c "$compile" sh "$work" @ "$CC" || {
	echo "circles.sh: not everything compiles" >&2
	exit 1
}
# The preloaded library stands in front of the C library's functions: who calls those does not need that room.
"$NM" -D --defined-only "$("$CC" -print-file-name=libc.so.6)" | sed 's,.* \([^@ ]*\)@.*,\1,' | sort -u >"$work/libc"
(cd "$work" && for object in *.o; do
	"$NM" -g "$object" | sed "s,^,$object ,"
done) | sed 's,%,/,g;s,^\([^ ]*\)o ,\1c ,' |
    awk -v libc="$work/libc" 'BEGIN { while ((getline name <libc) > 0) is_theirs[name] } !($NF in is_theirs)' \
	>"$work/symbols"

awk -v rooms="$lint/layers.txt" -f "$lint/layers.awk" -f "$lint/circles.awk" \
    "$work/includes" "$work/symbols"
